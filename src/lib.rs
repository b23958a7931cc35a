//! N hermetic copies of a Compose stack, as one unit.
//!
//! ```text
//! compose text ─ compose::load ─▶ spec::Project ─┐
//!                                                ├─ plan::up ─▶ Plan (a DAG, pure data)
//! engine: what is there ─▶ plan::World ──────────┘       │
//!                                                        ▼
//!    report ◀── event::Event ◀── session (walks the plan, waits, takes down) ──▶ engine
//! ```
//!
//! The data goes one way, and so do the dependencies of the modules: `docs/architecture.md`
//! says what each must not know.
//!
//! The command line is one user of this library, tests in Rust can be another:
//!
//! ```no_run
//! use std::collections::BTreeMap;
//!
//! use stackrun::{
//!     compose::{self, LoadOptions},
//!     engine::{self, ConnectRequest, EngineChoice},
//!     event,
//!     plan::Volumes,
//!     session::{Session, UpOptions, shutdown},
//!     spec::SessionName,
//! };
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let environment: BTreeMap<String, String> = std::env::vars().collect();
//! let loaded = compose::load(&LoadOptions {
//!     environment: environment.clone(),
//!     working_dir: std::env::current_dir()?,
//!     ..LoadOptions::default()
//! })?;
//! let engine = engine::connect(&ConnectRequest {
//!     engine: EngineChoice::Auto,
//!     environment,
//! })
//! .await?;
//!
//! // Events and log lines may be shown or recorded; here nobody listens.
//! let (sink, _events, _lines) = event::reports();
//! let (_trigger, shutdown) = shutdown();
//! let project = &loaded.project;
//! let name = SessionName::of(&project.name, &project.directory);
//! let session = Session::open(engine, name, &project.directory, sink, shutdown).await?;
//! let options = UpOptions {
//!     workers: 2,
//!     known_services: loaded.known_services,
//!     ..UpOptions::default()
//! };
//! let stack = session.up(project, &options).await?;
//! for worker in &stack.workers {
//!     println!("{}: {:?}", worker.worker, worker.variables());
//! }
//! session.down(Volumes::Remove, "done").await;
//! # Ok(())
//! # }
//! ```

pub mod cli;
pub mod compose;
pub mod engine;
pub mod error;
pub mod event;
pub mod logs;
pub mod plan;
pub mod probe;
pub mod report;
pub mod session;
pub mod spec;
pub mod text;
