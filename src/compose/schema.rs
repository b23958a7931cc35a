//! The Compose file format as a table: every key, and what it may hold.
//!
//! The table says what Docker Compose v2.40 accepts, short and long syntax alike;
//! [`super::validate`] applies it.

/// What a value may be.
#[derive(Debug)]
pub(super) enum Type {
    /// One of these kinds of scalar.
    Scalar(&'static [Kind]),
    /// One of these strings.
    OneOf(&'static [&'static str]),
    /// An integer between two bounds, or a string.
    Within(i128, i128),
    /// A string that a function accepts; the text says what it has to be.
    Checked(fn(&str) -> bool, &'static str),
    /// A list.
    List(&'static Self),
    /// A list in which no item is there twice.
    Set(&'static Self),
    /// A mapping from names of the file's choice.
    Map(Keys, &'static Self),
    /// A mapping with keys of Compose's choice.
    Object {
        fields: &'static [(&'static str, Self)],
        required: &'static [&'static str],
        unknown: Unknown,
    },
    /// Any of several shapes. At most one of them fits a scalar, a list, a mapping.
    Either(&'static [Self]),
}

/// A kind of scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Bool,
    Int,
    /// An integer or a float.
    Number,
    String,
}

/// Which keys a [`Type::Map`] may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keys {
    Any,
    NotEmpty,
    /// `[a-zA-Z0-9._-]+`.
    Names,
}

/// What happens to the keys that an object does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unknown {
    /// They are refused.
    Refused,
    /// They are refused unless they start with `x-`.
    Extensions,
    /// They are let through.
    Ignored,
}

use Kind::{Bool, Int, Null, Number};
use Type::{Checked, Either, List, Map, OneOf, Scalar, Set, Within};

type Fields = &'static [(&'static str, Type)];

const STRING: Type = Scalar(&[Kind::String]);
const BOOLEAN: Type = Scalar(&[Bool, Kind::String]);
const INTEGER: Type = Scalar(&[Int, Kind::String]);
const NUMBER: Type = Scalar(&[Number, Kind::String]);
const NULL: Type = Scalar(&[Null]);

const STRINGS: Type = Set(&STRING);
const STRING_LIST: Type = List(&STRING);
const STRING_OR_LIST: Type = Either(&[STRING, STRINGS]);
const COMMAND: Type = Either(&[Scalar(&[Null, Kind::String]), STRING_LIST]);
/// `NAME: value` or a list of `NAME=value`.
const VARIABLES: Type = Either(&[
    Map(Keys::NotEmpty, &Scalar(&[Kind::String, Number, Bool, Null])),
    STRINGS,
]);
const EXTRA_HOSTS: Type = Either(&[
    Map(Keys::NotEmpty, &Either(&[STRING, STRING_LIST])),
    STRINGS,
]);
const OPTIONS: Type = Map(Keys::Any, &Scalar(&[Kind::String, Number]));
const EXTERNAL_NAME: Fields = &[("name", STRING)];

/// A mapping that may have `x-` keys as well.
const fn object(fields: Fields) -> Type {
    Type::Object {
        fields,
        required: &[],
        unknown: Unknown::Extensions,
    }
}

/// The same, where some keys must be there.
const fn requires(required: &'static [&'static str], fields: Fields) -> Type {
    Type::Object {
        fields,
        required,
        unknown: Unknown::Extensions,
    }
}

/// A mapping with these keys only.
const fn closed(required: &'static [&'static str], fields: Fields) -> Type {
    Type::Object {
        fields,
        required,
        unknown: Unknown::Refused,
    }
}

/// The whole file.
pub(super) static FILE: Type = object(&[
    ("version", STRING),
    ("name", STRING),
    ("include", List(&INCLUDE)),
    ("services", Map(Keys::Names, &SERVICE)),
    ("models", Map(Keys::Any, &MODEL)),
    ("networks", Map(Keys::Any, &Either(&[NULL, NETWORK]))),
    ("volumes", Map(Keys::Names, &Either(&[NULL, VOLUME]))),
    ("secrets", Map(Keys::Names, &SECRET)),
    ("configs", Map(Keys::Names, &CONFIG)),
]);

const INCLUDE: Type = Either(&[
    STRING,
    closed(
        &[],
        &[
            ("path", STRING_OR_LIST),
            ("env_file", STRING_OR_LIST),
            ("project_directory", STRING),
        ],
    ),
]);

const SERVICE: Type = object(&[
    ("annotations", VARIABLES),
    ("attach", BOOLEAN),
    ("blkio_config", BLKIO),
    ("build", Either(&[STRING, BUILD])),
    ("cap_add", STRINGS),
    ("cap_drop", STRINGS),
    ("cgroup", OneOf(&["host", "private"])),
    ("cgroup_parent", STRING),
    ("command", COMMAND),
    ("configs", FILE_MOUNTS),
    (
        "container_name",
        Checked(
            is_container_name,
            "a name of two or more letters and digits",
        ),
    ),
    ("cpu_count", Within(0, i64::MAX as i128)),
    ("cpu_percent", Within(0, 100)),
    ("cpu_period", NUMBER),
    ("cpu_quota", NUMBER),
    ("cpu_rt_period", NUMBER),
    ("cpu_rt_runtime", NUMBER),
    ("cpu_shares", NUMBER),
    ("cpus", NUMBER),
    ("cpuset", STRING),
    (
        "credential_spec",
        object(&[("config", STRING), ("file", STRING), ("registry", STRING)]),
    ),
    (
        "depends_on",
        Either(&[STRINGS, Map(Keys::Names, &DEPENDENCY)]),
    ),
    ("deploy", Either(&[NULL, DEPLOY])),
    ("develop", Either(&[NULL, DEVELOP])),
    ("device_cgroup_rules", STRINGS),
    ("devices", List(&Either(&[STRING, DEVICE]))),
    ("dns", STRING_OR_LIST),
    ("dns_opt", STRINGS),
    ("dns_search", STRING_OR_LIST),
    ("domainname", STRING),
    ("entrypoint", COMMAND),
    (
        "env_file",
        Either(&[STRING, List(&Either(&[STRING, ENV_FILE]))]),
    ),
    ("environment", VARIABLES),
    ("expose", Set(&Scalar(&[Kind::String, Int]))),
    (
        "extends",
        Either(&[
            STRING,
            closed(&["service"], &[("service", STRING), ("file", STRING)]),
        ]),
    ),
    ("external_links", STRINGS),
    ("extra_hosts", EXTRA_HOSTS),
    ("gpus", Either(&[OneOf(&["all"]), List(&GPU)])),
    ("group_add", Set(&Scalar(&[Kind::String, Number]))),
    ("healthcheck", HEALTHCHECK),
    ("hostname", STRING),
    ("image", STRING),
    ("init", BOOLEAN),
    ("ipc", STRING),
    ("isolation", STRING),
    ("label_file", Either(&[STRING, STRING_LIST])),
    ("labels", VARIABLES),
    ("links", STRINGS),
    ("logging", LOGGING),
    ("mac_address", STRING),
    ("mem_limit", NUMBER),
    ("mem_reservation", INTEGER),
    ("mem_swappiness", INTEGER),
    ("memswap_limit", NUMBER),
    (
        "models",
        Either(&[STRINGS, Map(Keys::Any, &Either(&[NULL, SERVICE_MODEL]))]),
    ),
    ("network_mode", STRING),
    (
        "networks",
        Either(&[STRINGS, Map(Keys::Names, &Either(&[NULL, ATTACHMENT]))]),
    ),
    ("oom_kill_disable", BOOLEAN),
    ("oom_score_adj", Within(-1000, 1000)),
    ("pid", Scalar(&[Kind::String, Null])),
    ("pids_limit", NUMBER),
    ("platform", STRING),
    ("ports", Set(&Either(&[INTEGER, PORT]))),
    ("post_start", List(&HOOK)),
    ("pre_stop", List(&HOOK)),
    ("privileged", BOOLEAN),
    ("profiles", STRINGS),
    ("provider", PROVIDER),
    (
        "pull_policy",
        Checked(
            is_pull_policy,
            "`always`, `missing`, `never`, `build` or `every_…`",
        ),
    ),
    ("pull_refresh_after", STRING),
    ("read_only", BOOLEAN),
    ("restart", STRING),
    ("runtime", STRING),
    ("scale", INTEGER),
    ("secrets", FILE_MOUNTS),
    ("security_opt", STRINGS),
    ("shm_size", NUMBER),
    ("stdin_open", BOOLEAN),
    ("stop_grace_period", STRING),
    ("stop_signal", STRING),
    (
        "storage_opt",
        Map(Keys::Any, &Scalar(&[Kind::String, Int, Null])),
    ),
    ("sysctls", VARIABLES),
    ("tmpfs", STRING_OR_LIST),
    ("tty", BOOLEAN),
    ("ulimits", ULIMITS),
    ("use_api_socket", Scalar(&[Bool])),
    ("user", STRING),
    ("userns_mode", STRING),
    ("uts", STRING),
    ("volumes", Set(&Either(&[STRING, MOUNT]))),
    ("volumes_from", STRINGS),
    ("working_dir", STRING),
]);

const BUILD: Type = object(&[
    ("additional_contexts", VARIABLES),
    ("args", VARIABLES),
    ("cache_from", STRING_LIST),
    ("cache_to", STRING_LIST),
    ("context", STRING),
    ("dockerfile", STRING),
    ("dockerfile_inline", STRING),
    ("entitlements", STRING_LIST),
    ("extra_hosts", EXTRA_HOSTS),
    ("isolation", STRING),
    ("labels", VARIABLES),
    ("network", STRING),
    ("no_cache", BOOLEAN),
    ("platforms", STRING_LIST),
    ("privileged", BOOLEAN),
    ("provenance", BOOLEAN),
    ("pull", BOOLEAN),
    ("sbom", BOOLEAN),
    ("secrets", FILE_MOUNTS),
    ("shm_size", INTEGER),
    ("ssh", VARIABLES),
    ("tags", STRING_LIST),
    ("target", STRING),
    ("ulimits", ULIMITS),
]);

const BLKIO_RATES: Type = List(&closed(&[], &[("path", STRING), ("rate", INTEGER)]));
const BLKIO_WEIGHTS: Type = List(&closed(&[], &[("path", STRING), ("weight", INTEGER)]));
const BLKIO: Type = closed(
    &[],
    &[
        ("device_read_bps", BLKIO_RATES),
        ("device_read_iops", BLKIO_RATES),
        ("device_write_bps", BLKIO_RATES),
        ("device_write_iops", BLKIO_RATES),
        ("weight", INTEGER),
        ("weight_device", BLKIO_WEIGHTS),
    ],
);

const DEPENDENCY: Type = requires(
    &["condition"],
    &[
        (
            "condition",
            OneOf(&[
                "service_started",
                "service_healthy",
                "service_completed_successfully",
            ]),
        ),
        ("required", Scalar(&[Bool])),
        ("restart", BOOLEAN),
    ],
);

const DEVICE: Type = requires(
    &["source"],
    &[
        ("source", STRING),
        ("target", STRING),
        ("permissions", STRING),
    ],
);

const ENV_FILE: Type = closed(
    &["path"],
    &[("path", STRING), ("format", STRING), ("required", BOOLEAN)],
);

const DEVICE_REQUEST: Fields = &[
    ("capabilities", STRINGS),
    ("count", INTEGER),
    ("device_ids", STRINGS),
    ("driver", STRING),
    ("options", VARIABLES),
];
/// Compose's schema lets unknown keys of a GPU through.
const GPU: Type = Type::Object {
    fields: DEVICE_REQUEST,
    required: &[],
    unknown: Unknown::Ignored,
};

const HEALTHCHECK: Type = object(&[
    ("disable", BOOLEAN),
    ("interval", STRING),
    ("retries", NUMBER),
    ("start_interval", STRING),
    ("start_period", STRING),
    ("test", Either(&[STRING, STRING_LIST])),
    ("timeout", STRING),
]);

const HOOK: Type = requires(
    &["command"],
    &[
        ("command", COMMAND),
        ("environment", VARIABLES),
        ("privileged", BOOLEAN),
        ("user", STRING),
        ("working_dir", STRING),
    ],
);

const LOGGING: Type = object(&[
    ("driver", STRING),
    (
        "options",
        Map(Keys::Any, &Scalar(&[Kind::String, Number, Null])),
    ),
]);

const SERVICE_MODEL: Type = object(&[("endpoint_var", STRING), ("model_var", STRING)]);

const ATTACHMENT: Type = object(&[
    ("aliases", STRINGS),
    ("driver_opts", OPTIONS),
    ("gw_priority", Scalar(&[Number])),
    ("interface_name", STRING),
    ("ipv4_address", STRING),
    ("ipv6_address", STRING),
    ("link_local_ips", STRINGS),
    ("mac_address", STRING),
    ("priority", Scalar(&[Number])),
]);

const PORT: Type = object(&[
    ("app_protocol", STRING),
    ("host_ip", STRING),
    ("mode", STRING),
    ("name", STRING),
    ("protocol", STRING),
    ("published", INTEGER),
    ("target", INTEGER),
]);

const OPTION: Kinds = &[Kind::String, Number, Bool];
type Kinds = &'static [Kind];
const PROVIDER: Type = requires(
    &["type"],
    &[
        ("type", STRING),
        (
            "options",
            Map(Keys::Any, &Either(&[Scalar(OPTION), List(&Scalar(OPTION))])),
        ),
    ],
);

const ULIMITS: Type = Map(
    Keys::Any,
    &Either(&[
        INTEGER,
        requires(&["soft", "hard"], &[("soft", INTEGER), ("hard", INTEGER)]),
    ]),
);

const MOUNT: Type = requires(
    &["type"],
    &[
        (
            "bind",
            object(&[
                ("create_host_path", BOOLEAN),
                ("propagation", STRING),
                (
                    "recursive",
                    OneOf(&["enabled", "disabled", "writable", "readonly"]),
                ),
                ("selinux", OneOf(&["z", "Z"])),
            ]),
        ),
        ("consistency", STRING),
        ("image", object(&[("subpath", STRING)])),
        ("read_only", BOOLEAN),
        ("source", STRING),
        ("target", STRING),
        (
            "tmpfs",
            object(&[
                ("mode", Scalar(&[Number])),
                ("size", Within(0, i64::MAX as i128)),
            ]),
        ),
        (
            "type",
            OneOf(&["bind", "volume", "tmpfs", "cluster", "npipe", "image"]),
        ),
        (
            "volume",
            object(&[
                ("labels", VARIABLES),
                ("nocopy", BOOLEAN),
                ("subpath", STRING),
            ]),
        ),
    ],
);

const FILE_MOUNTS: Type = List(&Either(&[
    STRING,
    object(&[
        ("gid", STRING),
        ("mode", NUMBER),
        ("source", STRING),
        ("target", STRING),
        ("uid", STRING),
    ]),
]));

const UPDATE: Type = object(&[
    ("delay", STRING),
    ("failure_action", STRING),
    ("max_failure_ratio", NUMBER),
    ("monitor", STRING),
    ("order", OneOf(&["start-first", "stop-first"])),
    ("parallelism", INTEGER),
]);

const DEPLOY: Type = object(&[
    ("endpoint_mode", STRING),
    ("labels", VARIABLES),
    ("mode", STRING),
    (
        "placement",
        object(&[
            ("constraints", STRING_LIST),
            ("max_replicas_per_node", INTEGER),
            ("preferences", List(&object(&[("spread", STRING)]))),
        ]),
    ),
    ("replicas", INTEGER),
    (
        "resources",
        object(&[("limits", LIMITS), ("reservations", RESERVATIONS)]),
    ),
    (
        "restart_policy",
        object(&[
            ("condition", STRING),
            ("delay", STRING),
            ("max_attempts", INTEGER),
            ("window", STRING),
        ]),
    ),
    ("rollback_config", UPDATE),
    ("update_config", UPDATE),
]);

const LIMITS: Type = object(&[("cpus", NUMBER), ("memory", STRING), ("pids", INTEGER)]);

const RESERVATIONS: Type = object(&[
    ("cpus", NUMBER),
    (
        "devices",
        List(&requires(&["capabilities"], DEVICE_REQUEST)),
    ),
    (
        "generic_resources",
        List(&object(&[(
            "discrete_resource_spec",
            object(&[("kind", STRING), ("value", NUMBER)]),
        )])),
    ),
    ("memory", STRING),
]);

const DEVELOP: Type = object(&[(
    "watch",
    List(&requires(
        &["path", "action"],
        &[
            (
                "action",
                OneOf(&["rebuild", "sync", "restart", "sync+restart", "sync+exec"]),
            ),
            ("exec", HOOK),
            ("ignore", STRING_OR_LIST),
            ("include", STRING_OR_LIST),
            ("initial_sync", Scalar(&[Bool])),
            ("path", STRING),
            ("target", STRING),
        ],
    )),
)]);

const NETWORK: Type = object(&[
    ("attachable", BOOLEAN),
    ("driver", STRING),
    ("driver_opts", OPTIONS),
    ("enable_ipv4", BOOLEAN),
    ("enable_ipv6", BOOLEAN),
    ("external", Either(&[BOOLEAN, object(EXTERNAL_NAME)])),
    ("internal", BOOLEAN),
    ("ipam", IPAM),
    ("labels", VARIABLES),
    ("name", STRING),
]);

const IPAM: Type = object(&[
    (
        "config",
        List(&object(&[
            ("aux_addresses", Map(Keys::NotEmpty, &STRING)),
            ("gateway", STRING),
            ("ip_range", STRING),
            ("subnet", STRING),
        ])),
    ),
    ("driver", STRING),
    ("options", Map(Keys::NotEmpty, &STRING)),
]);

const VOLUME: Type = object(&[
    ("driver", STRING),
    ("driver_opts", OPTIONS),
    ("external", Either(&[BOOLEAN, object(EXTERNAL_NAME)])),
    ("labels", VARIABLES),
    ("name", STRING),
]);

const EXTERNAL_OPEN: Type = Either(&[
    BOOLEAN,
    Type::Object {
        fields: EXTERNAL_NAME,
        required: &[],
        unknown: Unknown::Ignored,
    },
]);

const SECRET: Type = object(&[
    ("driver", STRING),
    ("driver_opts", OPTIONS),
    ("environment", STRING),
    ("external", EXTERNAL_OPEN),
    ("file", STRING),
    ("labels", VARIABLES),
    ("name", STRING),
    ("template_driver", STRING),
]);

const CONFIG: Type = object(&[
    ("content", STRING),
    ("environment", STRING),
    ("external", EXTERNAL_OPEN),
    ("file", STRING),
    ("labels", VARIABLES),
    ("name", STRING),
    ("template_driver", STRING),
]);

const MODEL: Type = requires(
    &["model"],
    &[
        ("context_size", Scalar(&[Int])),
        ("model", STRING),
        ("name", STRING),
        ("runtime_flags", STRING_LIST),
    ],
);

/// Compose looks for a legal part of the name only, and so do we.
fn is_container_name(name: &str) -> bool {
    let first = |byte: u8| byte.is_ascii_alphanumeric();
    let other = |byte: u8| first(byte) || matches!(byte, b'_' | b'.' | b'-');
    name.as_bytes()
        .windows(2)
        .any(|pair| first(pair[0]) && other(pair[1]))
}

fn is_pull_policy(policy: &str) -> bool {
    const NAMED: [&str; 8] = [
        "always",
        "never",
        "build",
        "if_not_present",
        "missing",
        "refresh",
        "daily",
        "weekly",
    ];
    NAMED.contains(&policy)
        || policy.strip_prefix("every_").is_some_and(|period| {
            period.starts_with(|c: char| c.is_ascii_digit())
                && period.ends_with(['w', 'd', 'h', 'm', 's'])
        })
}
