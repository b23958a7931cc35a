//! The parts, in one SQLite file.
//!
//! A new file gets the schema and the test data in one transaction, whoever
//! opens it first: `backend seed` does it ahead of time, so that a stack can
//! copy the file instead of creating it again.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};
use serde::Serialize;

/// Stored as `user_version`; 0 is SQLite's own value for a new file.
const SCHEMA_VERSION: i64 = 1;

const SCHEMA: &str = "
CREATE TABLE parts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;
";

const TEST_DATA: &[(&str, i64)] = &[
    ("Hex bolt M6 x 20", 240),
    ("Spring washer M6", 600),
    ("Ball bearing 608", 32),
    ("Timing belt GT2, 200 mm", 14),
    ("Stepper motor NEMA 17", 6),
];

/// One row of `parts`, as the API shows it.
#[derive(Debug, Serialize)]
pub struct Part {
    pub id: i64,
    pub name: String,
    pub quantity: i64,
    pub created_at: String,
}

/// A part that has passed validation and has no id yet.
#[derive(Debug)]
pub struct NewPart {
    pub name: String,
    pub quantity: i64,
}

/// A shared handle on the database file.
#[derive(Clone)]
pub struct Database {
    connection: Arc<Mutex<Connection>>,
}

impl Database {
    /// Opens the file, creating it with schema and test data if it is new.
    pub fn open(path: &Path) -> Result<Self> {
        let connection = connect(path).with_context(|| format!("open {}", path.display()))?;
        Ok(Self {
            connection: Arc::new(Mutex::new(connection)),
        })
    }

    /// Counts the parts.
    pub fn count(&self) -> rusqlite::Result<i64> {
        self.lock()
            .query_row("SELECT count(*) FROM parts", [], |row| row.get(0))
    }

    /// Lists all parts, oldest first.
    pub async fn list(&self) -> rusqlite::Result<Vec<Part>> {
        self.call(|connection| {
            connection
                .prepare("SELECT id, name, quantity, created_at FROM parts ORDER BY id")?
                .query_map([], part)?
                .collect()
        })
        .await
    }

    /// Finds one part.
    pub async fn get(&self, id: i64) -> rusqlite::Result<Option<Part>> {
        self.call(move |connection| {
            connection
                .prepare("SELECT id, name, quantity, created_at FROM parts WHERE id = ?1")?
                .query_row([id], part)
                .optional()
        })
        .await
    }

    /// Stores a part and returns it as stored.
    pub async fn insert(&self, new: NewPart) -> rusqlite::Result<Part> {
        self.call(move |connection| {
            connection
                .prepare(
                    "INSERT INTO parts (name, quantity) VALUES (?1, ?2)
                     RETURNING id, name, quantity, created_at",
                )?
                .query_row(params![new.name, new.quantity], part)
        })
        .await
    }

    /// Deletes a part; says whether there was one.
    pub async fn delete(&self, id: i64) -> rusqlite::Result<bool> {
        self.call(move |connection| {
            let deleted = connection
                .prepare("DELETE FROM parts WHERE id = ?1")?
                .execute([id])?;
            Ok(deleted > 0)
        })
        .await
    }

    /// Puts the test data back, ids included; returns how many parts that is.
    pub async fn reset(&self) -> rusqlite::Result<usize> {
        self.call(|connection| {
            let transaction = connection.transaction()?;
            transaction.execute_batch(
                "DELETE FROM parts; DELETE FROM sqlite_sequence WHERE name = 'parts';",
            )?;
            insert_test_data(&transaction)?;
            transaction.commit()?;
            Ok(TEST_DATA.len())
        })
        .await
    }

    /// Runs `work` off the async thread, one call at a time.
    async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> rusqlite::Result<T> {
        let database = self.clone();
        tokio::task::spawn_blocking(move || work(&mut database.lock()))
            .await
            .expect("database work neither panics nor is cancelled")
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A transaction rolls back when it is dropped, so a panic while the
        // lock was held has left nothing half done.
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(2))?;
    // `synchronous = OFF` because test data has to survive a kill of the
    // process, which the rollback journal sees to, but no loss of power; an
    // fsync for every commit would be most of the time that a test takes. The
    // default journal leaves one file behind: a copy of it is the database.
    // Temporary tables go to memory since the image has no /tmp.
    connection.execute_batch("PRAGMA synchronous = OFF; PRAGMA temp_store = MEMORY;")?;
    create(&mut connection)?;
    Ok(connection)
}

fn create(connection: &mut Connection) -> rusqlite::Result<()> {
    // Immediate, so that of two processes which open a new file together one
    // creates and the other then sees that nothing is left to do.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version == SCHEMA_VERSION {
        return Ok(());
    }
    transaction.execute_batch(SCHEMA)?;
    insert_test_data(&transaction)?;
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    transaction.commit()
}

fn insert_test_data(connection: &Connection) -> rusqlite::Result<()> {
    let mut insert = connection.prepare("INSERT INTO parts (name, quantity) VALUES (?1, ?2)")?;
    for part in TEST_DATA {
        insert.execute(*part)?;
    }
    Ok(())
}

fn part(row: &Row<'_>) -> rusqlite::Result<Part> {
    Ok(Part {
        id: row.get(0)?,
        name: row.get(1)?,
        quantity: row.get(2)?,
        created_at: row.get(3)?,
    })
}
