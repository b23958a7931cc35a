//! What BuildKit tells about its steps.

use std::collections::HashMap;

use bollard_buildkit_proto::moby::buildkit::v1::{StatusResponse, Vertex, VertexLog, VertexStatus};

use crate::engine::{BuildProgress, BuildUpdate, StdStream, StepFailure};

use super::super::output::Output;

/// The steps of a build, by digest.
#[derive(Debug, Default)]
pub(super) struct Steps(HashMap<String, Step>);

#[derive(Debug, Default)]
struct Step {
    name: String,
    started: bool,
    completed: bool,
    error: String,
    output: Output,
}

impl Steps {
    /// What is new in a message.
    pub(super) fn take(&mut self, message: StatusResponse) -> Vec<BuildProgress> {
        let mut news = Vec::new();
        // A step is introduced before what is said about it, and ends after that.
        let (ended, begun): (Vec<_>, Vec<_>) = message
            .vertexes
            .into_iter()
            .partition(|vertex| vertex.completed.is_some());
        for vertex in begun.iter().chain(&ended) {
            self.begin(vertex, &mut news);
        }
        for status in message.statuses {
            news.extend(self.transfer(&status));
        }
        for log in message.logs {
            self.log(&log, &mut news);
        }
        for vertex in &ended {
            self.end(vertex, &mut news);
        }
        news
    }

    fn begin(&mut self, vertex: &Vertex, news: &mut Vec<BuildProgress>) {
        let step = self.0.entry(vertex.digest.clone()).or_default();
        step.name.clone_from(&vertex.name);
        if vertex.started.is_some() && !vertex.cached && !step.started {
            step.started = true;
            news.push(step.tells(BuildUpdate::Started));
        }
    }

    fn end(&mut self, vertex: &Vertex, news: &mut Vec<BuildProgress>) {
        let step = self.0.entry(vertex.digest.clone()).or_default();
        let lines: Vec<_> = step.output.end().collect();
        news.extend(lines.into_iter().map(|line| step.tells(line)));
        step.error.clone_from(&vertex.error);
        if std::mem::replace(&mut step.completed, true) || !vertex.error.is_empty() {
            return;
        }
        news.push(step.tells(if vertex.cached {
            BuildUpdate::Cached
        } else {
            BuildUpdate::Done
        }));
    }

    fn transfer(&self, status: &VertexStatus) -> Option<BuildProgress> {
        let done = u64::try_from(status.current)
            .ok()
            .filter(|done| *done > 0)?;
        let total = u64::try_from(status.total).ok().filter(|total| *total > 0);
        let step = self.0.get(&status.vertex)?;
        Some(step.tells(BuildUpdate::Transfer {
            what: status.id.clone(),
            done,
            total,
        }))
    }

    fn log(&mut self, log: &VertexLog, news: &mut Vec<BuildProgress>) {
        let step = self.0.entry(log.vertex.clone()).or_default();
        let stream = match log.stream {
            1 => StdStream::Stdout,
            _ => StdStream::Stderr,
        };
        let lines = step.output.push(stream, &log.msg).into_iter();
        news.extend(lines.map(|line| step.tells(line)));
    }

    /// The step that made the build fail, and what it wrote last. Others were cancelled
    /// because of it.
    pub(super) fn failure(&self, message: &str) -> Option<(String, StepFailure)> {
        let failed = || self.0.values().filter(|step| !step.error.is_empty());
        let cause = failed()
            .find(|step| !step.error.contains("context canceled"))
            .or_else(|| failed().next())?;
        let failure = StepFailure {
            message: message.to_owned(),
            output: cause.output.last(),
        };
        Some((cause.name.clone(), failure))
    }
}

impl Step {
    fn tells(&self, update: BuildUpdate) -> BuildProgress {
        BuildProgress {
            step: self.name.clone(),
            update,
        }
    }
}

#[cfg(test)]
mod tests {
    use bollard_buildkit_proto::google::protobuf::Timestamp;

    use super::*;

    fn vertex(name: &str, completed: bool, error: &str) -> Vertex {
        Vertex {
            digest: format!("sha256:{name}"),
            name: name.to_owned(),
            started: Some(Timestamp::default()),
            completed: completed.then(Timestamp::default),
            error: error.to_owned(),
            ..Vertex::default()
        }
    }

    fn log(name: &str, text: &str) -> VertexLog {
        VertexLog {
            vertex: format!("sha256:{name}"),
            stream: 2,
            msg: text.as_bytes().to_vec(),
            ..VertexLog::default()
        }
    }

    #[test]
    fn a_step_begins_writes_and_ends_though_all_comes_at_once() {
        let news = Steps::default().take(StatusResponse {
            vertexes: vec![vertex("a", true, "")],
            logs: vec![log("a", "one\ntw"), log("a", "o")],
            ..StatusResponse::default()
        });
        let line = |text: &str| BuildUpdate::Line {
            stream: StdStream::Stderr,
            text: text.to_owned(),
        };
        let news: Vec<_> = news.into_iter().map(|it| it.update).collect();
        assert_eq!(
            news,
            [
                BuildUpdate::Started,
                line("one"),
                line("two"),
                BuildUpdate::Done
            ]
        );
    }

    #[test]
    fn the_step_that_failed_is_not_one_that_was_cancelled() {
        let mut steps = Steps::default();
        steps.take(StatusResponse {
            vertexes: vec![
                vertex("a", true, "context canceled"),
                vertex("b", true, "exit code: 1"),
            ],
            logs: vec![log("b", "oh no\n")],
            ..StatusResponse::default()
        });
        let (step, failure) = steps.failure("it failed").expect("a failure");
        assert_eq!(step, "b");
        assert_eq!(failure.to_string(), "it failed\n  oh no");
    }
}
