//! The short syntax of `ports`: `[[address:][published]:]target[/protocol]`, where
//! both ports may be ranges.

use std::net::IpAddr;

use super::{
    diagnostic::Problem,
    node::{Map, Node, Span},
};

/// What two ports have in common that cannot both be published.
pub(super) fn identity(item: &Node) -> Option<String> {
    if item.as_map().is_none() {
        return item.to_text();
    }
    let target = item.get("target")?.to_text()?;
    // Compose takes `published: 80` and `published: "80"` for different ports.
    let published = item.get("published").and_then(|it| match it.as_str() {
        Some(text) => Some(text.to_owned()),
        None => it.to_text().map(|text| format!("int={text}")),
    });
    let published = published.unwrap_or_default();
    let address = item.get_str("host_ip").unwrap_or("0.0.0.0");
    let protocol = item.get_str("protocol").unwrap_or("tcp");
    Some(format!("{address}:{published}:{target}/{protocol}"))
}

/// Expands one item of the short syntax to the long one, a port each.
pub(super) fn expand(short: &str, span: Span) -> Result<Vec<Node>, Problem> {
    let ports = Ports::parse(short, span)?;
    let long = |(index, target)| {
        let mut map = Map::default();
        map.set("mode", "ingress");
        if let Some(address) = ports.address {
            map.set("host_ip", address);
        }
        map.set("target", i128::from(target));
        if let Some(published) = ports.published {
            map.set("published", published.text(index, ports.target.len()));
        }
        map.set("protocol", ports.protocol.as_str());
        Node::new(map, span)
    };
    let targets = ports.target.first..=ports.target.last;
    Ok(targets.enumerate().map(long).collect())
}

/// An item of the short syntax, taken apart.
struct Ports<'a> {
    address: Option<&'a str>,
    published: Option<Range>,
    target: Range,
    protocol: String,
}

impl<'a> Ports<'a> {
    fn parse(short: &'a str, span: Span) -> Result<Self, Problem> {
        let wrong = |what: String| Problem::error(span, format!("{what} in port `{short}`"));
        let (address, published, target) = split(short);
        let (target, protocol) = target.split_once('/').unwrap_or((target, ""));
        let protocol = match protocol.to_lowercase() {
            protocol if protocol.is_empty() => "tcp".to_owned(),
            protocol => protocol,
        };
        if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
            return Err(wrong(format!("unknown protocol `{protocol}`"))
                .suggest(&protocol, ["tcp", "udp", "sctp"]));
        }
        let address = address
            .map(|text| {
                parse_address(text).ok_or_else(|| wrong(format!("invalid address `{text}`")))
            })
            .transpose()?;
        let target = Range::parse(target)
            .filter(|range| range.first > 0)
            .ok_or_else(|| wrong(format!("invalid container port `{target}`")))?;
        let published = published
            .map(|text| {
                Range::parse(text).ok_or_else(|| wrong(format!("invalid host port `{text}`")))
            })
            .transpose()?;
        if let Some(published) = published
            && published.len() != target.len()
            && target.len() > 1
        {
            let (host, container) = (published.len(), target.len());
            return Err(
                wrong(format!("{host} host ports for {container} container ports"))
                    .help("give two ranges of the same length"),
            );
        }
        Ok(Self {
            address,
            published,
            target,
            protocol,
        })
    }
}

/// Address, host port and container port. An address may hold colons itself.
fn split(short: &str) -> (Option<&str>, Option<&str>, &str) {
    let given = |text: &&str| !text.is_empty();
    match short.rsplit_once(':') {
        None => (None, None, short),
        Some((rest, target)) => match rest.rsplit_once(':') {
            None => (None, Some(rest).filter(given), target),
            Some((address, published)) => (
                Some(address).filter(given),
                Some(published).filter(given),
                target,
            ),
        },
    }
}

/// An IP address, without the brackets that it may have.
fn parse_address(text: &str) -> Option<&str> {
    let inner = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let bare = inner.unwrap_or(text);
    bare.parse::<IpAddr>().is_ok().then_some(bare)
}

/// A port, or a range of them.
#[derive(Clone, Copy)]
struct Range {
    first: u16,
    last: u16,
}

impl Range {
    fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let number = |text: &str| {
            text.bytes()
                .all(|byte| byte.is_ascii_digit())
                .then(|| text.parse().ok())
                .flatten()
        };
        let range = Self {
            first: number(first)?,
            last: number(last)?,
        };
        (range.first <= range.last).then_some(range)
    }

    fn len(self) -> usize {
        usize::from(self.last - self.first) + 1
    }

    /// The host port of the container port at `index` of so many. A single container
    /// port may be published on any port of a range.
    fn text(self, index: usize, targets: usize) -> String {
        if targets == 1 && self.len() > 1 {
            return format!("{}-{}", self.first, self.last);
        }
        (usize::from(self.first) + index).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(short: &str) -> Result<Vec<String>, String> {
        let text = |node: &Node, key| node.get(key).and_then(Node::to_text).unwrap_or_default();
        let show = |node: &Node| {
            let [address, published, target, protocol] =
                ["host_ip", "published", "target", "protocol"].map(|key| text(node, key));
            format!("{address}|{published}|{target}|{protocol}")
        };
        let ports = expand(short, Span::NONE).map_err(|problem| problem.message)?;
        Ok(ports.iter().map(show).collect())
    }

    #[test]
    fn every_part_but_the_target_may_be_left_out() {
        let cases = [
            ("80", "||80|tcp"),
            ("8080:80", "|8080|80|tcp"),
            (":80", "||80|tcp"),
            ("127.0.0.1::80/UDP", "127.0.0.1||80|udp"),
            ("[::1]:8080:80", "::1|8080|80|tcp"),
            ("::1:8080:80", "::1|8080|80|tcp"),
            ("8000-8010:80", "|8000-8010|80|tcp"),
        ];
        for (short, expected) in cases {
            assert_eq!(ports(short).unwrap(), [expected], "{short}");
        }
    }

    #[test]
    fn ranges_are_expanded_side_by_side() {
        assert_eq!(
            ports("8000-8001:90-91/udp").unwrap(),
            ["|8000|90|udp", "|8001|91|udp"]
        );
        assert_eq!(ports("90-91").unwrap(), ["||90|tcp", "||91|tcp"]);
    }

    #[test]
    fn nonsense_is_named() {
        let cases = [
            ("80:a", "invalid container port `a` in port `80:a`"),
            ("a:80", "invalid host port `a` in port `a:80`"),
            ("80/xyz", "unknown protocol `xyz` in port `80/xyz`"),
            (
                "1.2.3:80:80",
                "invalid address `1.2.3` in port `1.2.3:80:80`",
            ),
            (
                "8000-8002:90-91",
                "3 host ports for 2 container ports in port `8000-8002:90-91`",
            ),
            ("65536", "invalid container port `65536` in port `65536`"),
            ("91-90", "invalid container port `91-90` in port `91-90`"),
            ("", "invalid container port `` in port ``"),
            ("80:0", "invalid container port `0` in port `80:0`"),
        ];
        for (short, message) in cases {
            assert_eq!(ports(short).unwrap_err(), message);
        }
    }
}
