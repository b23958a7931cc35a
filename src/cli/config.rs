//! `stackrun config`

use super::{
    Outcome,
    args::{ConfigArgs, ConfigFormat},
    context::Context,
    exit_code,
    failure::Failure,
    print,
};

pub(super) fn config(context: &Context, args: &ConfigArgs) -> Outcome {
    if !args.hash.is_empty() {
        print(&hashes(context, &args.hash)?);
        return Ok(exit_code::SUCCESS);
    }
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

/// A line for each service, sorted; one that is asked for twice has two.
fn hashes(context: &Context, wanted: &[String]) -> Result<String, Failure> {
    if wanted == ["*"] {
        let hashes = context.load_text(&[])?.hashes;
        return Ok(hashes
            .iter()
            .map(|(name, hash)| format!("{name} {hash}\n"))
            .collect());
    }
    let hashes = context.load_text(wanted)?.hashes;
    let mut names: Vec<_> = wanted.iter().collect();
    names.sort();
    let line = |name| Some(format!("{name} {}\n", hashes.get(name)?));
    Ok(names.into_iter().filter_map(line).collect())
}
