//! What tests against a real engine share. A test crate has it with `mod support;`.
//!
//! * [`Scene`]: a session of its own for one test, which is taken down again however
//!   the test ends. Its containers run the fixture (`tests/fixture`), one small
//!   program that does what a test needs a service to do.
//! * [`fixture`]: builds the fixture and loads it into the engine, once for all test
//!   processes.
//! * [`Output`]: what a container wrote.
//! * [`eventually`]: waits for what has to become true.
//!
//! ```ignore
//! #[tokio::test]
//! async fn a_container_says_hello() {
//!     Scene::play(async |scene| {
//!         let ended = scene.run("hello", scene.service("print hello")).await;
//!         assert_eq!(ended.output.stdout(), "hello\n");
//!     })
//!     .await;
//! }
//! ```
//!
//! The engine is the one that `STACKRUN_ENGINE` names, as for stackrun itself.
//!
//! Tests run side by side, in one process or in many; nothing of a scene collides with
//! another one. Without an engine they fail: a test that is skipped proves nothing.
//! What a killed test leaves behind carries the label
//! `dev.stackrun.project=stackrun-tests`.

mod archive;
pub mod fixture;
mod output;
mod scene;

use std::time::{Duration, Instant};

pub use output::{Output, assert_same, collect};
pub use scene::{Scene, mount};

/// Long enough for a machine that runs many tests at once; nothing is expected to take
/// so long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks until the answer is something.
///
/// For what an engine does in its own time, such as seeing that a process has ended.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
