//! A session for one test.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, resume_unwind},
    path::Path,
    process,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use bollard::query_parameters::RemoveImageOptionsBuilder;
use futures::{FutureExt, future::join_all};
use ipnet::Ipv4Net;
use serde_json::Value;
use stackrun::{
    engine::{ConnectRequest, Engine, EngineKind, Refusal, connect},
    spec::{
        Build, BuildSpec, ContainerSpec, ContainerState, Endpoint, NetworkSpec, Observed,
        ObservedContainer, Service, SessionName, VolumeMount, VolumeSpec, label,
    },
};

use super::{Output, collect, eventually, fixture};

/// An engine, and a session on it that nobody else has.
pub struct Scene {
    pub engine: Arc<dyn Engine>,
    pub session: SessionName,
    /// The fixture's image.
    pub image: String,
    /// Images that the test makes.
    images: Mutex<Vec<String>>,
}

/// A container that has run to its end.
#[derive(Debug)]
pub struct Ended {
    pub id: String,
    pub output: Output,
    pub state: ContainerState,
}

impl Scene {
    /// Runs a test, and removes what it has created, also when it panics.
    pub async fn play(test: impl AsyncFnOnce(&Self)) {
        let scene = Self::open().await;
        let played = AssertUnwindSafe(test(&scene)).catch_unwind().await;
        let cleared = AssertUnwindSafe(scene.clear()).catch_unwind().await;
        // What went wrong first is what is to be heard.
        if let Err(panic) = played.and(cleared) {
            resume_unwind(panic);
        }
    }

    async fn open() -> Self {
        let engine = engine().await;
        let image = fixture::image(&*engine).await;
        let session = format!("test-{:x}", unique())
            .parse()
            .expect("a legal name");
        Self {
            engine,
            session,
            image,
            images: Mutex::default(),
        }
    }

    async fn clear(&self) {
        let Observed {
            containers,
            networks,
            volumes,
        } = self.observe().await;
        let containers = self.remove_all(&containers).await;
        let networks = networks
            .iter()
            .map(|it| self.engine.remove_network(&it.name));
        let networks = join_all(networks).await;
        let volumes = volumes.iter().map(|it| self.engine.remove_volume(&it.name));
        let volumes = join_all(volumes).await;
        for removed in containers.into_iter().chain(networks).chain(volumes) {
            removed.expect("everything can be removed");
        }
        let images = self.images.lock().expect("no panic").clone();
        for image in images {
            self.remove_image(&image).await;
        }
    }

    /// Removes an image, if it is there.
    pub async fn remove_image(&self, name: &str) {
        let client = fixture::client(&*self.engine);
        let options = RemoveImageOptionsBuilder::new().force(true).build();
        match client.remove_image(name, Some(options), None).await {
            Ok(_)
            | Err(bollard::errors::Error::DockerResponseServerError {
                status_code: 404, ..
            }) => {}
            Err(error) => panic!("image `{name}` stays: {error}"),
        }
    }

    /// A name for an image that the test makes, by which it is removed at the end.
    pub fn image_name(&self, of: &str) -> String {
        let name = format!("stackrun-{}:{of}", self.session);
        self.remove_later(&name);
        name
    }

    /// Has an image removed at the end.
    pub fn remove_later(&self, image: &str) {
        let mut images = self.images.lock().expect("no panic");
        images.push(image.to_owned());
    }

    /// An image to build from a directory.
    pub fn build(&self, name: &str, context: &Path) -> BuildSpec {
        BuildSpec {
            image: self.image_name(name),
            build: Build {
                context: context.display().to_string(),
                ..Build::default()
            },
            platform: None,
            labels: self.labels(),
        }
    }

    /// Podman refuses to remove a container whose network another one lives in, so
    /// what was refused is tried again once others are gone.
    async fn remove_all(
        &self,
        containers: &[ObservedContainer],
    ) -> Vec<stackrun::engine::Result<()>> {
        let mut left: Vec<_> = containers.iter().collect();
        loop {
            let removals = left.iter().map(|it| self.engine.remove_container(&it.id));
            let removed = join_all(removals).await;
            let before = left.len();
            let mut refused = removed.iter().map(Result::is_err);
            left.retain(|_| refused.next().expect("one answer each"));
            if left.is_empty() || left.len() == before {
                return removed;
            }
        }
    }

    /// Whether the engine is Podman, for what it does in another way.
    pub fn is_podman(&self) -> bool {
        self.engine.info().kind == EngineKind::Podman
    }

    /// What the session has on the engine.
    pub async fn observe(&self) -> Observed {
        self.engine
            .observe(Some(&self.session))
            .await
            .expect("the session's things")
    }

    /// A name that is unique on the engine.
    pub fn name(&self, of: &str) -> String {
        format!("{}-{of}", self.session)
    }

    /// The labels that everything has to have.
    pub fn labels(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            (label::SESSION.to_owned(), self.session.to_string()),
            (label::PROJECT.to_owned(), "stackrun-tests".to_owned()),
        ])
    }

    /// A service that runs the fixture with these words, and asks for nothing else.
    pub fn service(&self, command: &str) -> Service {
        let command = command.split_whitespace().map(str::to_owned).collect();
        Service {
            command: Some(command),
            ..Service::new("fixture".parse().expect("a legal name"), &self.image)
        }
    }

    /// A container for a service, in no network.
    pub fn container(&self, name: &str, service: Service) -> ContainerSpec {
        ContainerSpec {
            name: self.name(name),
            labels: self.labels(),
            endpoints: Vec::new(),
            network_mode: Some("none".to_owned()),
            publish: Vec::new(),
            pid_mode: None,
            ipc_mode: None,
            volumes: Vec::new(),
            volumes_from: Vec::new(),
            healthcheck: None,
            file_binds: Vec::new(),
            text_files: Vec::new(),
            service: Arc::new(service),
        }
    }

    /// A container in one or more networks, by its own name.
    pub fn networked(
        &self,
        name: &str,
        service: Service,
        networks: &[&NetworkSpec],
    ) -> ContainerSpec {
        let endpoint = |network: &&NetworkSpec| Endpoint {
            network: network.name.clone(),
            aliases: vec![name.to_owned()],
            ..Endpoint::default()
        };
        ContainerSpec {
            network_mode: None,
            endpoints: networks.iter().map(endpoint).collect(),
            ..self.container(name, service)
        }
    }

    /// Creates a container.
    pub async fn create(&self, spec: &ContainerSpec) -> String {
        self.engine
            .create_container(spec)
            .await
            .expect("a container")
    }

    /// Creates and starts a container.
    pub async fn start(&self, spec: &ContainerSpec) -> String {
        let id = self.create(spec).await;
        self.engine.start_container(&id).await.expect("it starts");
        id
    }

    /// Runs a service in no network until it ends.
    pub async fn run(&self, name: &str, service: Service) -> Ended {
        self.run_container(&self.container(name, service)).await
    }

    /// Runs a container until it ends.
    pub async fn run_container(&self, spec: &ContainerSpec) -> Ended {
        let id = self.create(spec).await;
        let output = self.engine.attach(&id).await.expect("its output");
        self.engine.start_container(&id).await.expect("it starts");
        let output = collect(output).await;
        let state = self.over(&id).await;
        Ended { id, output, state }
    }

    /// Waits until a container has ended.
    pub async fn over(&self, id: &str) -> ContainerState {
        eventually("the container's end", async || {
            let state = self.state(id).await;
            state.status.is_over().then_some(state)
        })
        .await
    }

    /// What the engine itself says of a container, as JSON.
    pub async fn inspect(&self, id: &str) -> Value {
        let client = fixture::client(&*self.engine);
        match client.inspect_container(id, None).await {
            // Podman has states that bollard does not know.
            Err(bollard::errors::Error::JsonDataError { contents, .. }) => {
                serde_json::from_str(&contents).expect("JSON")
            }
            inspected => serde_json::to_value(inspected.expect("a container")).expect("JSON"),
        }
    }

    /// Creates a container for a service, which the engine may refuse in these words, and
    /// tells what the engine has written down.
    pub async fn inspect_unless(&self, service: Service, refusal: &str) -> Option<Value> {
        let name = format!("unless-{:x}", unique());
        match self
            .engine
            .create_container(&self.container(&name, service))
            .await
        {
            Ok(id) => Some(self.inspect(&id).await),
            Err(error) => {
                let reply = std::error::Error::source(&error).expect("the engine's words");
                let reply = reply.to_string();
                assert!(reply.to_lowercase().contains(refusal), "{reply}");
                None
            }
        }
    }

    /// What a service of one command prints.
    pub async fn says(&self, name: &str, service: Service) -> String {
        let ended = self.run(name, service).await;
        let output = &ended.output;
        assert_eq!(ended.state.exit_code, 0, "{name}: {}", output.stderr());
        output.stdout().trim_end().to_owned()
    }

    /// Inspects a container.
    pub async fn state(&self, id: &str) -> ContainerState {
        self.engine.inspect(id).await.expect("a container")
    }

    /// A network to create, with a subnet that is probably free.
    pub fn network_spec(&self, name: &str) -> NetworkSpec {
        NetworkSpec {
            name: self.name(name),
            subnet: some_subnet(),
            driver: None,
            driver_opts: BTreeMap::new(),
            internal: false,
            attachable: false,
            gateway: None,
            enable_ipv6: false,
            subnet_v6: None,
            labels: self.labels(),
        }
    }

    /// Creates a network in a subnet that nobody has.
    pub async fn network(&self, name: &str) -> NetworkSpec {
        for _ in 0..64 {
            let spec = self.network_spec(name);
            match self.engine.create_network(&spec).await {
                Ok(()) => return spec,
                Err(error) if error.refusal() == Some(Refusal::SubnetTaken) => {}
                Err(error) => panic!("no network: {error:?}"),
            }
        }
        panic!("no subnet is free");
    }

    /// Creates a volume.
    pub async fn volume(&self, name: &str) -> VolumeSpec {
        let spec = VolumeSpec {
            name: self.name(name),
            driver: None,
            driver_opts: BTreeMap::new(),
            labels: self.labels(),
        };
        self.engine.create_volume(&spec).await.expect("a volume");
        spec
    }
}

/// A volume at a path.
pub fn mount(volume: &VolumeSpec, target: &str) -> VolumeMount {
    VolumeMount {
        volume: volume.name.clone(),
        target: target.to_owned(),
        read_only: false,
        nocopy: false,
        subpath: None,
    }
}

async fn engine() -> Arc<dyn Engine> {
    let choice = std::env::var("STACKRUN_ENGINE").unwrap_or_else(|_| "auto".to_owned());
    let request = ConnectRequest {
        engine: choice.parse().expect("any word is a choice"),
        environment: std::env::vars().collect(),
    };
    match connect(&request).await {
        Ok(engine) => engine,
        Err(error) => panic!("these tests need an engine; tried {:#?}", error.attempts),
    }
}

/// Unique among all processes of this machine that are alive, and most others.
fn unique() -> u128 {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    (now.as_micros() << 32) | (u128::from(process::id()) << 10) | u128::from(count & 0x3ff)
}

/// One of the 4,096 subnets of a range that stackrun itself does not use.
fn some_subnet() -> Ipv4Net {
    // Spread out by Knuth's multiplicative hash: scenes open at the same moment.
    let unique = u32::try_from(unique() & 0xffff_ffff).expect("32 bits");
    let index = unique.wrapping_mul(2_654_435_761) >> 20;
    let [high, low] = u16::try_from(index << 4)
        .expect("12 bits, moved by 4")
        .to_be_bytes();
    format!("10.215.{high}.{low}/28").parse().expect("a subnet")
}
