//! What every engine has to do, shown on a real one by the trait alone. What is said
//! about it beyond the trait is asked of the engine's own API.

mod support;

mod engine {
    mod addresses;
    mod archive;
    mod build;
    mod containers;
    mod events;
    mod exec;
    mod health;
    mod identity;
    mod images;
    mod limits;
    mod logs;
    mod mounts;
    mod namespaces;
    mod networks;
    mod observe;
    mod output;
    mod service;
    mod volumes;
}
