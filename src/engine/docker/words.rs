//! Words of Podman's that are none of Docker's: bollard refuses an answer with one of
//! them as a whole, so it is put into Docker's words and read again.

use bollard::errors::Error;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Reads an answer about containers again if bollard could not.
pub(super) fn understood<T: DeserializeOwned>(answer: Result<T, Error>) -> Result<T, Error> {
    let Err(Error::JsonDataError { contents, .. }) = &answer else {
        return answer;
    };
    in_docker_s_words(contents).map_or(answer, Ok)
}

fn in_docker_s_words<T: DeserializeOwned>(answer: &str) -> Option<T> {
    let mut answer: Value = serde_json::from_str(answer).ok()?;
    match &mut answer {
        Value::Array(list) => {
            let states = list.iter_mut().filter_map(|it| it.get_mut("State"));
            states.for_each(translate);
        }
        one => translate(one.pointer_mut("/State/Status")?),
    }
    serde_json::from_value(answer).ok()
}

/// Podman 4.3 lets some of its own names of states through to the API of Docker.
fn translate(state: &mut Value) {
    let word = match state.as_str() {
        // The process has ended, its exit code is known, and what it ran in is still
        // being taken down.
        Some("stopped") => "exited",
        // All is there but the process.
        Some("initialized" | "configured") => "created",
        _ => return,
    };
    *state = word.into();
}

#[cfg(test)]
mod tests {
    use bollard::models::{ContainerInspectResponse, ContainerSummary};

    use super::*;

    fn refused(answer: &str) -> Error {
        Error::JsonDataError {
            message: "unknown variant".to_owned(),
            contents: answer.to_owned(),
            column: 1,
        }
    }

    #[test]
    fn a_state_of_podman_s_is_one_of_docker_s() {
        let answer = r#"{"Name":"stopped","State":{"Status":"stopped","ExitCode":3}}"#;
        let inspected: ContainerInspectResponse =
            understood(Err(refused(answer))).expect("an answer");
        let state = inspected.state.expect("a state");
        assert_eq!(state.status.expect("a status").to_string(), "exited");
        assert_eq!(state.exit_code, Some(3));
        assert_eq!(inspected.name.as_deref(), Some("stopped"));

        let answer = r#"[{"State":"running"},{"State":"initialized"}]"#;
        let listed: Vec<ContainerSummary> = understood(Err(refused(answer))).expect("an answer");
        let states: Vec<_> = listed.iter().filter_map(|it| it.state).collect();
        assert_eq!(states.len(), 2);
        assert_eq!(states[1].to_string(), "created");
    }

    #[test]
    fn an_answer_that_stays_dark_keeps_its_error() {
        for answer in ["<html>", r#"{"State":{"Status":"odd"}}"#] {
            let read: Result<ContainerInspectResponse, _> = understood(Err(refused(answer)));
            assert!(read.is_err(), "{answer}");
        }
    }
}
