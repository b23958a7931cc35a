//! The short syntax of `volumes`: `[source:]target[:options]`.

use super::{
    diagnostic::Problem,
    node::{Map, Node, Span},
};

/// Not enough bytes for a source, a colon and a target.
const TOO_SHORT: usize = 2;

/// An item of the short syntax, taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Volume {
    pub source: Option<String>,
    pub target: String,
    pub read_only: bool,
    pub nocopy: bool,
    pub propagation: Option<String>,
    pub selinux: Option<String>,
}

/// Takes an item of the short syntax apart.
pub(super) fn parse(short: &str, span: Span) -> Result<Volume, Problem> {
    let wrong = |why: &str| Problem::error(span, format!("invalid volume `{short}`: {why}"));
    let mut volume = Volume::default();
    if short.is_empty() {
        return Err(wrong("it is empty"));
    }
    if short.len() <= TOO_SHORT {
        short.clone_into(&mut volume.target);
        return Ok(volume);
    }
    let fields = split(short);
    if fields.contains(&"") {
        return Err(wrong("there is nothing between two colons"));
    }
    match fields[..] {
        [target] => target.clone_into(&mut volume.target),
        [source, target] | [source, target, _] => {
            volume.source = Some(source.to_owned());
            target.clone_into(&mut volume.target);
        }
        _ => return Err(wrong("it has too many colons")),
    }
    for option in fields
        .get(2)
        .into_iter()
        .flat_map(|options| options.split(','))
    {
        volume.option(option);
    }
    Ok(volume)
}

impl Volume {
    /// Takes note of an option. Compose ignores those that it does not know.
    fn option(&mut self, option: &str) {
        match option {
            "ro" => self.read_only = true,
            "rw" => self.read_only = false,
            "nocopy" => self.nocopy = true,
            "z" | "Z" => self.selinux = Some(option.to_owned()),
            "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave" => {
                self.propagation = Some(option.to_owned());
            }
            _ => {}
        }
    }

    /// Whether the source is a path of the host rather than the name of a volume.
    pub fn is_bind(&self) -> bool {
        self.source.as_deref().is_some_and(is_path)
    }

    /// The long syntax for it.
    pub fn into_node(self, span: Span) -> Node {
        let bind = self.is_bind();
        // Compose has options for a volume, if none of them, but not where it has not
        // looked for any. That is part of a service's hash.
        let has_options = !bind && (self.source.is_some() || self.target.len() > TOO_SHORT);
        let mut map = Map::default();
        map.set("type", if bind { "bind" } else { "volume" });
        if let Some(source) = self.source {
            map.insert("source", span, Node::new(source, span));
        }
        map.set("target", self.target);
        if self.read_only {
            map.set("read_only", true);
        }
        let mut as_bind = Map::default();
        if let Some(propagation) = self.propagation {
            as_bind.set("propagation", propagation);
        }
        if let Some(selinux) = self.selinux {
            as_bind.set("selinux", selinux);
        }
        if bind {
            // The short syntax has always created what is not there.
            as_bind.set("create_host_path", true);
        }
        let mut as_volume = Map::default();
        if self.nocopy {
            as_volume.set("nocopy", true);
        }
        for (key, options) in [("bind", as_bind), ("volume", as_volume)] {
            if !options.is_empty() || (key == "volume" && has_options) {
                map.set(key, options);
            }
        }
        Node::new(map, span)
    }
}

/// Splits at colons, but not behind the letter of a Windows drive. As Compose does so
/// wherever a field has one letter, a volume cannot be called `a`.
fn split(short: &str) -> Vec<&str> {
    let mut fields = Vec::new();
    let mut start = 0;
    for (at, _) in short.match_indices(':') {
        let field = &short[start..at];
        let mut letters = field.chars();
        let drive = letters.next().is_some_and(char::is_alphabetic) && letters.next().is_none();
        if !drive {
            fields.push(field);
            start = at + 1;
        }
    }
    fields.push(&short[start..]);
    fields
}

fn is_path(source: &str) -> bool {
    let mut chars = source.chars();
    match (chars.next(), chars.next()) {
        (Some('.' | '/' | '~'), _) | (Some('\\'), Some('\\')) => true,
        (Some(drive), Some(':')) => drive.is_alphabetic(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(source: &str, target: &str) -> Volume {
        let source = Some(source.to_owned()).filter(|source| !source.is_empty());
        Volume {
            source,
            target: target.to_owned(),
            ..Volume::default()
        }
    }

    #[test]
    fn fields_are_told_apart_by_number() {
        let cases = [
            ("/t", volume("", "/t")),
            ("/data", volume("", "/data")),
            ("data:/t", volume("data", "/t")),
            ("./a:/t", volume("./a", "/t")),
            (
                "data:/t:ro",
                Volume {
                    read_only: true,
                    ..volume("data", "/t")
                },
            ),
            (
                "data:/t:nocopy",
                Volume {
                    nocopy: true,
                    ..volume("data", "/t")
                },
            ),
            (
                "/a:/t:z,rshared,rw,cached",
                Volume {
                    selinux: Some("z".to_owned()),
                    propagation: Some("rshared".to_owned()),
                    ..volume("/a", "/t")
                },
            ),
            ("C:\\a:/t", volume("C:\\a", "/t")),
        ];
        for (short, expected) in cases {
            assert_eq!(parse(short, Span::NONE).unwrap(), expected, "{short}");
        }
    }

    #[test]
    fn only_paths_are_binds() {
        for (source, bind) in [
            ("./a", true),
            ("~/a", true),
            ("..", true),
            ("a", false),
            ("a/b", false),
        ] {
            assert_eq!(volume(source, "/t").is_bind(), bind, "{source}");
        }
    }

    #[test]
    fn nonsense_is_named() {
        let cases = [
            ("", "invalid volume ``: it is empty"),
            (
                "aa::/t",
                "invalid volume `aa::/t`: there is nothing between two colons",
            ),
            (
                "aa:/t:ro:x",
                "invalid volume `aa:/t:ro:x`: it has too many colons",
            ),
        ];
        for (short, message) in cases {
            assert_eq!(parse(short, Span::NONE).unwrap_err().message, message);
        }
    }
}
