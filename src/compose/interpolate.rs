//! Replaces `${…}` in every string of a document, and reads strings as numbers and
//! booleans where Compose does so.
//!
//! Keys are not interpolated. This is the first phase, so what it produces is
//! checked like what was written.

use super::{
    diagnostic::Problem,
    load::Context,
    node::{Node, Path, Span, Value},
    scalar,
    template::{Expander, TemplateError},
};

/// Interpolates a document with `lookup`. Unset variables are warned about once.
pub(super) fn interpolate(
    node: &mut Node,
    lookup: &dyn Fn(&str) -> Option<String>,
    context: &mut Context<'_>,
) -> Result<(), Problem> {
    let mut walk = Walk {
        expander: Expander::new(lookup),
        context,
    };
    walk.node(node, Path::ROOT)
}

struct Walk<'a, 'c> {
    expander: Expander<'a>,
    context: &'a mut Context<'c>,
}

impl Walk<'_, '_> {
    fn node(&mut self, node: &mut Node, path: Path<'_>) -> Result<(), Problem> {
        match &mut node.value {
            Value::Map(map) => {
                for (key, entry) in map.iter_mut() {
                    self.node(&mut entry.node, path.key(key))?;
                }
            }
            Value::List(items) => {
                for item in items {
                    self.node(item, path.item())?;
                }
            }
            Value::String(text) => {
                if text.contains('$') {
                    *text = self.text(text, node.span)?;
                }
                if let Some(cast) = Cast::at(path.keys()) {
                    node.value = cast
                        .apply(text)
                        .ok_or_else(|| cast.error(text, path, node.span))?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn text(&mut self, template: &str, span: Span) -> Result<String, Problem> {
        let result = self.expander.expand(template);
        for name in std::mem::take(&mut self.expander.unset) {
            let place = self.context.find(span, &format!("${name}"));
            let place = place.or_else(|| self.context.find(span, &format!("${{{name}}}")));
            self.context.warn_unset(&name, place.unwrap_or(span));
        }
        result.map_err(|error| self.explain(&error, template, span))
    }

    fn explain(&self, error: &TemplateError, template: &str, span: Span) -> Problem {
        let place = |range: &std::ops::Range<usize>| {
            let wrong = template.get(range.clone()).unwrap_or_default();
            self.context.find(span, wrong).unwrap_or(span)
        };
        match error {
            TemplateError::Missing {
                name,
                reason,
                range,
            } => {
                let message = format!("the required variable `{name}` is not set");
                let message = match reason.as_str() {
                    "" => message,
                    reason => format!("{message}: {reason}"),
                };
                Problem::error(place(range), message)
                    .help(format!("set `{name}` in the environment or in an env file"))
            }
            TemplateError::Invalid { range } => {
                let wrong = template.get(range.clone()).unwrap_or_default();
                Problem::error(place(range), format!("`{wrong}` is not a valid template"))
                    .help("write `$$` for a `$` that is meant as such")
            }
            TemplateError::TooDeep => Problem::error(span, "templates are nested too deep"),
            TemplateError::TooLarge => Problem::error(
                span,
                "the file is too large once its variables are filled in",
            ),
        }
    }
}

/// What a string is read as at certain keys, so that a variable can hold the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cast {
    Bool,
    Int,
    Float,
}

impl Cast {
    fn at(path: &[&str]) -> Option<Self> {
        match path {
            ["services", _, rest @ ..] => Self::in_service(rest),
            [
                "networks",
                _,
                "external" | "internal" | "attachable" | "enable_ipv6",
            ]
            | ["volumes" | "secrets" | "configs", _, "external"] => Some(Self::Bool),
            _ => None,
        }
    }

    fn in_service(path: &[&str]) -> Option<Self> {
        Some(match path {
            ["init" | "oom_kill_disable" | "privileged" | "read_only" | "stdin_open" | "tty"]
            | ["depends_on", _, "restart"]
            | ["healthcheck", "disable"]
            | ["volumes", "[]", "read_only"]
            | ["volumes", "[]", "bind", "create_host_path"]
            | ["volumes", "[]", "volume", "nocopy"] => Self::Bool,
            [
                "cpu_count" | "cpu_period" | "cpu_quota" | "cpu_rt_period" | "cpu_rt_runtime"
                | "cpu_shares" | "oom_score_adj" | "pids_limit" | "scale",
            ]
            | ["deploy", "replicas"]
            | ["deploy", "update_config" | "rollback_config", "parallelism"]
            | ["deploy", "restart_policy", "max_attempts"]
            | ["deploy", "placement", "max_replicas_per_node"]
            | ["healthcheck", "retries"]
            | ["ports", "[]", "target"]
            | ["ulimits", _]
            | ["ulimits", _, "hard" | "soft"] => Self::Int,
            ["cpus" | "cpu_percent"]
            | [
                "deploy",
                "update_config" | "rollback_config",
                "max_failure_ratio",
            ] => Self::Float,
            _ => return None,
        })
    }

    fn apply(self, text: &str) -> Option<Value> {
        match self {
            Self::Bool => match text.to_lowercase().as_str() {
                "true" | "y" | "yes" | "on" => Some(Value::Bool(true)),
                "false" | "n" | "no" | "off" => Some(Value::Bool(false)),
                _ => None,
            },
            Self::Int => text
                .parse::<i64>()
                .ok()
                .map(|value| Value::Int(value.into())),
            Self::Float => scalar::float(text),
        }
    }

    fn error(self, text: &str, path: Path<'_>, span: Span) -> Problem {
        let expected = match self {
            Self::Bool => "`true` or `false`",
            Self::Int => "an integer",
            Self::Float => "a number",
        };
        Problem::error(span, format!("`{path}` must be {expected}, not `{text}`"))
    }
}
