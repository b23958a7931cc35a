//! Puts right, in every request, what bollard sends and engines take amiss.

use bollard::BollardRequest;

/// A client whose requests are corrected on their way out.
pub(super) fn corrected(client: bollard::Docker) -> bollard::Docker {
    let version = format!("/v{}", client.client_version());
    client.with_request_modifier(move |mut request: BollardRequest| {
        correct_target(&mut request, &version);
        correct_credentials(&mut request);
        request
    })
}

/// bollard joins the path to the URL in a way that loses the version, so that a newer
/// engine would answer in a dialect that was not agreed upon. And it sends `until=0`
/// with every request for logs, at which Podman returns nothing.
fn correct_target(request: &mut BollardRequest, version: &str) {
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    if let Some(target) = &parts.path_and_query {
        let target = target.as_str().replace("&until=0&", "&");
        let prefix = if target.starts_with("/v1.") {
            ""
        } else {
            version
        };
        parts.path_and_query = format!("{prefix}{target}").parse().ok();
    }
    if let Ok(uri) = parts.try_into() {
        *request.uri_mut() = uri;
    }
}

/// Engines read the credentials as base64 for URLs; bollard writes the other kind.
fn correct_credentials(request: &mut BollardRequest) {
    const HEADER: &str = "x-registry-auth";
    let Some(value) = request.headers().get(HEADER) else {
        return;
    };
    let Ok(value) = value.to_str() else { return };
    let value = value.replace('+', "-").replace('/', "_");
    if let Ok(value) = value.parse() {
        request.headers_mut().insert(HEADER, value);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn corrected_target(uri: &str) -> String {
        let mut request = BollardRequest::new(bollard::body_full(Bytes::new()));
        *request.uri_mut() = uri.parse().expect("a URI");
        correct_target(&mut request, "/v1.41");
        request.uri().to_string()
    }

    #[test]
    fn every_request_names_the_version() {
        assert_eq!(
            corrected_target("unix://2f/containers/x/json?size=false"),
            "unix://2f/v1.41/containers/x/json?size=false"
        );
    }

    #[test]
    fn no_end_is_no_end() {
        assert_eq!(
            corrected_target("unix://2f/containers/x/logs?since=0&until=0&tail=all"),
            "unix://2f/v1.41/containers/x/logs?since=0&tail=all"
        );
    }

    #[test]
    fn credentials_are_base64_for_urls() {
        let mut request = BollardRequest::new(bollard::body_full(Bytes::new()));
        let value = "a+b/c==".parse().expect("a header");
        request.headers_mut().insert("X-Registry-Auth", value);
        correct_credentials(&mut request);
        assert_eq!(request.headers()["X-Registry-Auth"], "a-b_c==");
    }
}
