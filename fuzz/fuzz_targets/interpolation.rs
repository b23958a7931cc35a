//! A template of any content, with variables of any content.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stackrun::compose::{LoadOptions, Memory, load_from};

fuzz_target!(|input: (&str, &str)| {
    let (template, value) = input;
    // JSON is YAML, and quotes whatever has to be quoted.
    let service = serde_json::json!({ "image": "x", "hostname": template });
    let text = serde_json::json!({ "services": { "web": service } }).to_string();
    let variables = [("A", value), ("EMPTY", "")];
    let options = LoadOptions {
        environment: variables
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        working_dir: "/project".into(),
        ..LoadOptions::default()
    };
    let result = load_from(&Memory::new().with("/project/compose.yaml", text), &options);
    if let (Ok(loaded), false) = (result, template.contains('$')) {
        let hostname = loaded.project.services["web"].hostname.as_deref();
        assert_eq!(hostname.unwrap_or_default(), template);
    }
});
