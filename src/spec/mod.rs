//! The domain as plain data. Everything else in the crate depends on it, it
//! depends on nothing here.
//!
//! * [`project`], [`service`], [`build`]: what a Compose file asks for.
//! * [`desired`]: the containers, networks and volumes of one worker, with every
//!   name, label and address decided.
//! * [`observed`]: what an engine says is there.
//! * [`name`]: the newtypes that keep the names of things apart.
//! * [`label`]: the labels by which a session is found again.

pub mod build;
pub mod desired;
pub mod label;
pub mod name;
pub mod observed;
pub mod project;
pub mod service;

pub use build::{Build, BuildContext, BuildSecret, BuildSpec, SecretSource, SshAgent};
pub use desired::{ContainerSpec, Endpoint, NetworkSpec, VolumeMount, VolumeSpec};
pub use name::{InvalidName, ServiceName, SessionName, WorkerId};
pub use observed::{
    ContainerState, Health, Observed, ObservedContainer, ObservedNetwork, ObservedVolume,
    PublishedPort, Status,
};
pub use project::{
    AddressRef, Extension, FileSource, Network, Project, SharedFile, SubnetPool, Volume,
};
pub use service::{
    Condition, Dependency, Device, Expect, FileMount, HealthTest, Healthcheck, Logging, Mount,
    MountKind, NetworkAttachment, NetworkMode, Port, Probe, Protocol, PullPolicy, Ready, Resources,
    RestartPolicy, Service, Ulimit,
};
