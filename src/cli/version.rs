//! `stackrun version`

use serde::Serialize;

use crate::engine::EngineInfo;

use super::{
    Outcome,
    args::{Format, FormatArgs},
    context::Context,
    exit_code, print, print_json,
};

#[derive(Serialize)]
struct Versions<'a> {
    stackrun: &'static str,
    engine: Option<&'a EngineInfo>,
}

pub(super) async fn version(context: &Context, args: FormatArgs) -> Outcome {
    let engine = context.connect().await.ok();
    let info = engine.as_ref().map(|engine| engine.info());
    let versions = Versions {
        stackrun: env!("CARGO_PKG_VERSION"),
        engine: info,
    };
    match args.format {
        Format::Json => print_json(&versions),
        Format::Text => {
            print(&format!("stackrun {}\n", versions.stackrun));
            print(&match info {
                Some(info) => format!(
                    "{} {} (API {}, {}) at {}\n",
                    info.kind, info.version, info.api_version, info.platform, info.endpoint
                ),
                None => "no container engine answers\n".to_owned(),
            });
        }
    }
    Ok(exit_code::SUCCESS)
}
