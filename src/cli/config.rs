//! `stackrun config`

use super::{
    Outcome,
    args::{ConfigArgs, ConfigFormat},
    context::Context,
    exit_code, print,
};

pub(super) fn config(context: &Context, args: &ConfigArgs) -> Outcome {
    let loaded = context.load_text(&args.only)?;
    let canonical = loaded.canonical;
    let lines = |items: Vec<String>| {
        items
            .iter()
            .map(|item| format!("{item}\n"))
            .collect::<String>()
    };
    let owned = |items: Vec<&str>| items.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let text = match args {
        ConfigArgs { check: true, .. } => String::new(),
        ConfigArgs { services: true, .. } => lines(owned(canonical.services())),
        ConfigArgs { images: true, .. } => lines(canonical.images()),
        ConfigArgs { volumes: true, .. } => lines(owned(canonical.volumes())),
        ConfigArgs { profiles: true, .. } => lines(canonical.profiles().to_vec()),
        ConfigArgs {
            format: ConfigFormat::Json,
            ..
        } => canonical.to_json() + "\n",
        ConfigArgs {
            format: ConfigFormat::Yaml,
            ..
        } => canonical.to_yaml(),
    };
    print(&text);
    Ok(exit_code::SUCCESS)
}
