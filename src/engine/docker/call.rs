//! The one way in which the engine is called: with a deadline, and with errors that
//! say what was attempted.

use std::time::Duration;

use bollard::errors::Error;

use crate::engine::{EngineError, Refusal, Reply, Result};

/// For calls that an idle engine answers within milliseconds. A busy one may take
/// its time.
pub(super) const ORDINARY: Duration = Duration::from_secs(60);

/// For calls that make the engine set up networking and start processes.
pub(super) const GENEROUS: Duration = Duration::from_secs(120);

/// Waits for `request`, but no longer than `deadline`.
pub(super) async fn call<T>(
    attempted: &str,
    deadline: Duration,
    request: impl Future<Output = Result<T, Error>>,
) -> Result<T> {
    match tokio::time::timeout(deadline, request).await {
        Ok(answer) => answer.map_err(|error| engine_error(attempted, error)),
        Err(_) => Err(EngineError::TimedOut {
            attempted: attempted.to_owned(),
            after: deadline,
        }),
    }
}

/// A container as it is told to people: by name, or by as much of its id as the
/// engine's own tools show.
pub(super) fn shown(container: &str) -> &str {
    let is_id = container.len() == 64 && container.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id { &container[..12] } else { container }
}

/// Takes the engine's "there is no such thing" for success: what was to be removed
/// is gone.
pub(super) fn gone_is_fine(result: Result<()>) -> Result<()> {
    match result {
        Err(error) if error.is_not_found() => Ok(()),
        other => other,
    }
}

/// Tells a refusal by the engine from a broken connection.
pub(super) fn engine_error(attempted: &str, error: Error) -> EngineError {
    match error {
        Error::DockerResponseServerError {
            status_code,
            message,
        } => refused(attempted, status_code, message),
        // Told in the body of a response whose status was sent long before.
        Error::DockerStreamError { error } => refused(attempted, 200, error),
        other => EngineError::Connection {
            attempted: attempted.to_owned(),
            source: Box::new(other),
        },
    }
}

/// The error for an answer that is a no.
pub(super) fn refused(attempted: &str, status: u16, message: String) -> EngineError {
    EngineError::Refused {
        attempted: attempted.to_owned(),
        refusal: refusal(status, &message),
        reply: Reply { status, message },
    }
}

/// Engines have no codes for these reasons: their words are all there is, and a
/// taken address comes with status 403, 409 or 500.
fn refusal(status: u16, message: &str) -> Refusal {
    const SUBNET_TAKEN: [&str; 4] = [
        "Pool overlaps with other one on this address space",
        "non-overlapping IPv4 address pool",
        "available, non-overlapping",
        "is already used on the host or by another config",
    ];
    const PORT_TAKEN: [&str; 3] = [
        "port is already allocated",
        "address already in use",
        "proxy already running",
    ];
    const CONFLICT: [&str; 4] = [
        "has active endpoints",
        // Podman 4.3, with status 500: of a container's name, of a network, and of a
        // container that does not run.
        "that name is already in use",
        "network is being used",
        "container state improper",
    ];
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| message.contains(phrase));

    if says(&SUBNET_TAKEN) {
        return Refusal::SubnetTaken;
    }
    if says(&PORT_TAKEN) {
        return Refusal::PortTaken;
    }
    match status {
        404 => Refusal::NotFound,
        409 => Refusal::Conflict,
        _ if says(&CONFLICT) => Refusal::Conflict,
        // A pull that fails reports it in the stream, where there is no status.
        _ if says(&["manifest unknown", "repository does not exist"]) => Refusal::NotFound,
        _ => Refusal::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classify(status: u16, message: &str) -> Refusal {
        let error = Error::DockerResponseServerError {
            status_code: status,
            message: message.to_owned(),
        };
        engine_error("do it", error).refusal().expect("a refusal")
    }

    #[test]
    fn an_id_is_shown_in_short() {
        assert_eq!(shown(&"0123456789abcdef".repeat(4)), "0123456789ab");
        assert_eq!(shown("demo-w0-backend-1"), "demo-w0-backend-1");
    }

    #[test]
    fn the_status_tells_plain_refusals_apart() {
        assert_eq!(classify(404, "No such container: x"), Refusal::NotFound);
        assert_eq!(classify(409, "name is already in use"), Refusal::Conflict);
        assert_eq!(classify(500, "out of luck"), Refusal::Other);
    }

    #[test]
    fn a_taken_subnet_is_told_by_its_words() {
        for message in [
            "Pool overlaps with other one on this address space",
            "invalid pool request: Pool overlaps with other one on this address space",
            "could not find an available, non-overlapping IPv4 address pool among the defaults \
             to assign to the network",
            "subnet 10.213.0.0/28 is already used on the host or by another config",
        ] {
            assert_eq!(classify(403, message), Refusal::SubnetTaken, "{message}");
        }
    }

    #[test]
    fn a_taken_port_is_told_by_its_words() {
        for message in [
            "driver failed programming external connectivity on endpoint x: Bind for \
             127.0.0.1:80 failed: port is already allocated",
            "listen tcp4 127.0.0.1:80: bind: address already in use",
        ] {
            assert_eq!(classify(500, message), Refusal::PortTaken, "{message}");
        }
    }

    #[test]
    fn a_conflict_is_one_whatever_the_status() {
        for (status, message) in [
            (
                403,
                "error while removing network: network x has active endpoints",
            ),
            (
                500,
                "container create: creating container storage: the container name \"x\" is \
                 already in use by 12. You have to remove that container to be able to reuse \
                 that name: that name is already in use",
            ),
            (
                500,
                "\"x\" has associated containers with it. Use -f to forcibly delete containers \
                 and pods: network is being used",
            ),
            (
                500,
                "can only kill running containers. 12 is in state stopped: container state \
                 improper",
            ),
        ] {
            assert_eq!(classify(status, message), Refusal::Conflict, "{message}");
        }
    }

    #[tokio::test]
    async fn an_engine_that_does_not_answer_is_given_up() {
        let never = std::future::pending::<Result<(), Error>>();
        let error = call("wait", Duration::from_millis(1), never)
            .await
            .expect_err("no answer");
        assert_eq!(
            error.to_string(),
            "could not wait: the engine did not answer within 1 ms"
        );
    }
}
