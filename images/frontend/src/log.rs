//! Lines for the people who read the container's log: requests and events on
//! stdout, failures on stderr.
//!
//! A closed pipe is no reason for a service to die, so write errors are
//! dropped here (`println!` would panic).

use std::fmt;
use std::io::{self, Write};
use std::time::Instant;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;

/// Writes one line to stdout.
pub fn line(text: fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}

/// Writes one line to stderr.
pub fn failure(text: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Middleware that writes one line per request, when its head is answered.
pub async fn requests(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let response = next.run(request).await;
    let status = response.status().as_u16();
    let milliseconds = started.elapsed().as_secs_f64() * 1000.0;
    line(format_args!(
        "{method} {path} {status} {milliseconds:.1} ms"
    ));
    response
}
