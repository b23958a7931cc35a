//! One connection from the host.

use std::{net::SocketAddr, time::Duration};

use tokio::{net::TcpStream, time::timeout};

/// How long a connection has to stay open to count.
///
/// Engines forward published ports through a proxy that accepts before the service
/// listens, and closes as soon as the service refuses: within a millisecond or two.
const STAYS_OPEN: Duration = Duration::from_millis(25);

/// A connection that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn connect(address: SocketAddr) -> Result<(), String> {
    let stream = match timeout(PATIENCE, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(format!("connect: {error}")),
        Err(_) => return Err("connect: no answer".to_owned()),
    };
    match timeout(STAYS_OPEN, stream.peek(&mut [0; 1])).await {
        // Nothing to read and still open, or the service speaks first.
        Err(_) | Ok(Ok(1..)) => Ok(()),
        Ok(Ok(0)) => Err("connect: closed at once".to_owned()),
        Ok(Err(error)) => Err(format!("connect: {error}")),
    }
}
