//! An env file of any content, in both of its formats.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stackrun::compose::{LoadOptions, Memory, load_from};

const COMPOSE: &str = "
services:
  web: { image: x, env_file: [{ path: web.env }] }
  raw: { image: x, env_file: [{ path: web.env, format: raw }] }
";

fuzz_target!(|text: &[u8]| {
    let options = LoadOptions {
        working_dir: "/project".into(),
        ..LoadOptions::default()
    };
    for compose in [COMPOSE, "services: {}"] {
        let memory = Memory::new()
            .with("/project/compose.yaml", compose)
            .with("/project/web.env", text)
            .with("/project/.env", text);
        if let Err(error) = load_from(&memory, &options) {
            drop(error.to_string());
        }
    }
});
