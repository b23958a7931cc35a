//! Building with the BuildKit that Docker has in it.
//!
//! The engine is spoken to on two connections of its own, which begin as HTTP and go on
//! as gRPC. On the one, the build is asked for and watched. The other one turns around:
//! the engine asks, for files, logins and secrets, as the build needs them.
//!
//! bollard's own driver hides the first one, on which the progress is, and takes the
//! context as a whole in memory: see `docs/adr/0011-building-images.md`.

mod files;
mod progress;
mod request;
mod session;
mod transport;

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher as _, Hasher as _},
    io,
    time::Duration,
};

use bollard_buildkit_proto::moby::buildkit::v1::{
    SolveRequest, StatusRequest, control_client::ControlClient,
};
use futures::stream::BoxStream;
use tokio::sync::mpsc;
use tonic::{Status, transport::Channel};

use crate::{
    engine::{BuildProgress, EngineError, Result, docker::Docker},
    spec::BuildSpec,
};

use self::{progress::Steps, session::Session, transport::Upgrade};
use super::{Attempt, progress_of};
use crate::engine::docker::call::refused;

/// How long the end of the progress may take after the end of the build.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Builds an image.
pub(super) fn build(
    engine: &Docker,
    spec: &BuildSpec,
    attempt: Attempt,
) -> BoxStream<'static, Result<BuildProgress>> {
    let (engine, spec) = (engine.clone(), spec.clone());
    progress_of(|progress| {
        Box::pin(async move {
            let work = Work {
                engine,
                spec,
                attempt,
            };
            work.run(&progress).await
        })
    })
}

struct Work {
    engine: Docker,
    spec: BuildSpec,
    attempt: Attempt,
}

impl Work {
    async fn run(&self, progress: &mpsc::Sender<BuildProgress>) -> Result<()> {
        let request = request::solve(&self.engine, &self.spec, &self.attempt).await?;
        let session = Session::new(&self.engine, &self.spec, &self.attempt)?;
        let id = request.session.clone();
        let served = session.open(&id).await.map_err(|error| self.lost(error))?;
        let connection =
            Upgrade::new(&self.engine, "/grpc").header("X-Docker-Expose-Session-Uuid", &id);
        let channel = transport::channel(connection)
            .await
            .map_err(|error| self.lost(error))?;
        tokio::select! {
            end = self.solve(channel, request, progress) => end,
            // Without its session, the build ends as well, and knows better why.
            never = async { served.run().await; std::future::pending().await } => never,
        }
    }

    async fn solve(
        &self,
        channel: Channel,
        request: SolveRequest,
        progress: &mpsc::Sender<BuildProgress>,
    ) -> Result<()> {
        let mut steps = Steps::default();
        let watched_build = StatusRequest {
            r#ref: request.r#ref.clone(),
        };
        let mut client = ControlClient::new(channel.clone()).max_decoding_message_size(16 << 20);
        let mut listener = ControlClient::new(channel).max_decoding_message_size(16 << 20);
        let watch = async {
            let mut updates = listener.status(watched_build).await?.into_inner();
            while let Some(update) = updates.message().await? {
                for item in steps.take(update) {
                    // Nobody listens any more: then nobody polls this either.
                    let _ = progress.send(item).await;
                }
            }
            Ok::<_, Status>(())
        };
        let end = {
            let solve = client.solve(request);
            tokio::pin!(watch, solve);
            tokio::select! {
                end = &mut solve => {
                    // What the build said last is worth more than its end.
                    let _ = tokio::time::timeout(LAST_WORDS, watch).await;
                    end
                }
                // The progress ends with the build, or it failed: no reason to fail.
                _ = &mut watch => solve.await,
            }
        };
        end.map(drop).map_err(|status| self.failed(&steps, &status))
    }

    fn failed(&self, steps: &Steps, status: &Status) -> EngineError {
        let message = status.message().to_owned();
        let attempted = self.attempt.0.clone();
        match steps.failure(&message) {
            Some((step, failure)) => EngineError::Step {
                attempted,
                step,
                failure: Box::new(failure),
            },
            None if status.code() == tonic::Code::Unavailable => {
                self.lost(io::Error::other(message))
            }
            None => refused(&attempted, 200, message),
        }
    }

    fn lost(&self, error: io::Error) -> EngineError {
        EngineError::Connection {
            attempted: self.attempt.0.clone(),
            source: Box::new(error),
        }
    }
}

/// A name that nothing else has. The standard library's hashers have random keys.
fn random_name() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}
