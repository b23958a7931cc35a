//! A Compose file of any content: no panic, no hang, and what it resolves to resolves
//! to itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stackrun::compose::{LoadOptions, Memory, load_from};

fuzz_target!(|text: &[u8]| {
    let options = LoadOptions {
        working_dir: "/project".into(),
        ..LoadOptions::default()
    };
    let memory = Memory::new().with("/project/compose.yaml", text);
    match load_from(&memory, &options) {
        Err(error) => drop(error.to_string()),
        Ok(loaded) => {
            let memory = Memory::new().with("/project/compose.yaml", loaded.canonical.to_yaml());
            let again = load_from(&memory, &options).expect("canonical text can be loaded");
            assert_eq!(again.project, loaded.project);
        }
    }
});
