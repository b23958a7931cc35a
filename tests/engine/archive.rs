//! Images from archives and OCI layouts.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
};

use futures::TryStreamExt;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use stackrun::{
    engine::{EngineError, EngineKind},
    spec::BuildSpec,
};

use crate::support::{Scene, fixture};

/// An image of this test's own, with a file of its own. What comes from elsewhere stays
/// in the store when it is removed under one name, and would prove nothing.
async fn image(scene: &Scene, name: &str) -> BuildSpec {
    let context = tempfile::tempdir().expect("a directory");
    fs::write(context.path().join("file"), name).expect("a file");
    let mut spec = scene.build(name, context.path());
    let text = format!("FROM {}\nCOPY file /{}\n", scene.image, scene.session);
    spec.build.dockerfile_inline = Some(text);
    let steps = scene.engine.build(&spec).await;
    steps.try_collect::<Vec<_>>().await.expect("an image");
    spec
}

/// `docker save` to a file.
async fn save(scene: &Scene, image: &str, to: &Path) {
    let client = fixture::client(&*scene.engine);
    let pieces: Vec<_> = client
        .export_image(image)
        .try_collect()
        .await
        .expect("an archive");
    fs::write(to, pieces.concat()).expect("a file");
}

/// Loads the archive and shows that the image is the one that was saved.
async fn assert_loads(scene: &Scene, spec: &BuildSpec, archive: &Path) {
    scene.remove_image(&spec.image).await;
    let gone = scene.engine.image(&spec.image).await.expect("an answer");
    assert_eq!(gone, None);
    let names = scene.engine.load_image(archive).await.expect("an image");
    // Podman puts a registry before the names that it keeps.
    let [name] = &names[..] else {
        panic!("one image, not {names:?}");
    };
    let prefixed = scene.engine.info().kind == EngineKind::Podman;
    assert!(
        *name == spec.image || prefixed && name.ends_with(&format!("/{}", spec.image)),
        "{name}"
    );
    let mut service = scene.service(&format!("read /{}", scene.session));
    service.image.clone_from(&spec.image);
    let ended = scene.run("loaded", service).await;
    let expected = spec.image.rsplit(':').next().expect("a tag");
    assert_eq!(ended.output.stdout().trim_end(), expected);
    assert_eq!(ended.output.stderr(), "");
    let removed = scene.engine.remove_container(&ended.id).await;
    removed.expect("the container can be removed");
}

fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An OCI layout, made from an archive of `docker save`.
struct Layout(PathBuf);

impl Layout {
    fn new(path: PathBuf) -> Self {
        fs::create_dir_all(path.join("blobs/sha256")).expect("a directory");
        let version = json!({ "imageLayoutVersion": "1.0.0" });
        fs::write(path.join("oci-layout"), version.to_string()).expect("a file");
        Self(path)
    }

    fn blob(&self, kind: &str, content: &[u8]) -> Value {
        let digest = digest(content);
        fs::write(self.0.join("blobs/sha256").join(&digest), content).expect("a blob");
        json!({
            "mediaType": format!("application/vnd.oci.image.{kind}"),
            "digest": format!("sha256:{digest}"),
            "size": content.len(),
        })
    }

    /// An image from what was unpacked of `docker save`, and its manifest's descriptor.
    fn image(&self, saved: &Path, layer_kind: &str, pack: impl Fn(&[u8]) -> Vec<u8>) -> Value {
        let manifest = fs::read(saved.join("manifest.json")).expect("a manifest");
        let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
        let read =
            |name: &Value| fs::read(saved.join(name.as_str().expect("a path"))).expect("a file");
        let layers = manifest[0]["Layers"].as_array().expect("layers").iter();
        let layers: Vec<Value> = layers
            .map(|layer| self.blob(&format!("layer.v1.{layer_kind}"), &pack(&read(layer))))
            .collect();
        let config = self.blob("config.v1+json", &read(&manifest[0]["Config"]));
        self.json(
            "manifest.v1+json",
            &json!({
                "schemaVersion": 2,
                "config": config,
                "layers": layers,
            }),
        )
    }

    fn json(&self, kind: &str, content: &Value) -> Value {
        self.blob(kind, content.to_string().as_bytes())
    }

    fn index(&self, manifests: &[Value]) {
        let index = json!({ "schemaVersion": 2, "manifests": manifests });
        fs::write(self.0.join("index.json"), index.to_string()).expect("a file");
    }

    fn largest_blob(&self) -> PathBuf {
        let blobs = fs::read_dir(self.0.join("blobs/sha256")).expect("blobs");
        let blobs = blobs.map(|blob| blob.expect("a blob").path());
        blobs
            .max_by_key(|blob| fs::metadata(blob).expect("a blob").len())
            .expect("one")
    }
}

fn with_name(mut descriptor: Value, name: &str) -> Value {
    descriptor["annotations"] = json!({ "org.opencontainers.image.ref.name": name });
    descriptor
}

/// Saves the image and unpacks what was saved.
async fn unpacked(scene: &Scene, spec: &BuildSpec, root: &Path) -> PathBuf {
    let (archive, saved) = (root.join("saved.tar"), root.join("saved"));
    save(scene, &spec.image, &archive).await;
    let mut archive = tar::Archive::new(File::open(archive).expect("the archive"));
    archive.unpack(&saved).expect("files");
    saved
}

#[tokio::test]
async fn what_was_saved_is_loaded() {
    Scene::play(async |scene| {
        let root = tempfile::tempdir().expect("a directory");
        let spec = image(scene, "saved").await;
        let archive = root.path().join("image.tar");
        save(scene, &spec.image, &archive).await;
        assert_loads(scene, &spec, &archive).await;

        let packed = root.path().join("image.tar.gz");
        fs::write(&packed, gzip(&fs::read(&archive).expect("it"))).expect("a file");
        match scene.engine.info().kind {
            EngineKind::Docker => assert_loads(scene, &spec, &packed).await,
            // Podman 4.3 opens packed archives of files, but none that are sent to it.
            EngineKind::Podman => {
                let error = scene
                    .engine
                    .load_image(&packed)
                    .await
                    .expect_err("no image");
                assert!(matches!(error, EngineError::Refused { .. }), "{error:?}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn an_oci_layout_is_loaded_as_a_directory_and_as_an_archive() {
    Scene::play(async |scene| {
        let root = tempfile::tempdir().expect("a directory");
        let spec = image(scene, "layout").await;
        let saved = unpacked(scene, &spec, root.path()).await;
        let layout = Layout::new(root.path().join("layout"));
        let manifest = layout.image(&saved, "tar", <[u8]>::to_vec);
        layout.index(&[with_name(manifest, &spec.image)]);
        assert_loads(scene, &spec, &layout.0).await;

        let archive = root.path().join("layout.tar");
        let mut builder = tar::Builder::new(File::create(&archive).expect("a file"));
        builder.append_dir_all(".", &layout.0).expect("files");
        builder.finish().expect("an archive");
        assert_loads(scene, &spec, &archive).await;
    })
    .await;
}

#[tokio::test]
async fn of_an_index_the_engines_platform_is_loaded_with_packed_layers() {
    Scene::play(async |scene| {
        let root = tempfile::tempdir().expect("a directory");
        let spec = image(scene, "index").await;
        let saved = unpacked(scene, &spec, root.path()).await;
        let layout = Layout::new(root.path().join("layout"));
        let mut ours = layout.image(&saved, "tar+gzip", gzip);
        let platform = &scene.engine.info().platform;
        let (os, architecture) = platform.split_once('/').expect("a platform");
        ours["platform"] = json!({ "os": os, "architecture": architecture });
        let mut other = layout.json("manifest.v1+json", &json!({ "not": "looked at" }));
        other["platform"] = json!({ "os": "plan9", "architecture": "mips" });
        let index = json!({ "schemaVersion": 2, "manifests": [other, ours] });
        let inner = layout.json("index.v1+json", &index);
        layout.index(&[with_name(inner, &spec.image)]);
        assert_loads(scene, &spec, &layout.0).await;

        layout.index(&[other]);
        let error = refused(scene, &layout.0).await;
        assert!(error.contains("only for plan9/mips"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn a_blob_that_was_tampered_with_is_refused() {
    Scene::play(async |scene| {
        let root = tempfile::tempdir().expect("a directory");
        let spec = image(scene, "tampered").await;
        let saved = unpacked(scene, &spec, root.path()).await;
        scene.remove_image(&spec.image).await;
        let layout = Layout::new(root.path().join("layout"));
        let manifest = layout.image(&saved, "tar", <[u8]>::to_vec);
        layout.index(&[with_name(manifest, &spec.image)]);
        let blob = layout.largest_blob();
        let mut content = Vec::new();
        let mut file = File::open(&blob).expect("a blob");
        file.read_to_end(&mut content).expect("it");
        let middle = content.len() / 2;
        content[middle] ^= 1;
        let mut file = File::create(&blob).expect("a file");
        file.write_all(&content).expect("written");

        let error = refused(scene, &layout.0).await;
        assert!(error.contains("is another one: its digest is"), "{error}");
        let name = blob.file_name().expect("a name").to_str().expect("UTF-8");
        assert!(error.contains(name), "{error}");
        let image = scene.engine.image(&spec.image).await.expect("an answer");
        assert_eq!(image, None);
    })
    .await;
}

#[tokio::test]
async fn what_is_no_image_is_refused_by_name() {
    Scene::play(async |scene| {
        let root = tempfile::tempdir().expect("a directory");
        let text = root.path().join("notes.txt");
        fs::write(&text, "nothing of the sort".repeat(100)).expect("a file");
        let other = root.path().join("other.tar");
        let mut builder = tar::Builder::new(File::create(&other).expect("a file"));
        builder
            .append_path_with_name(&text, "notes.txt")
            .expect("a file");
        builder.finish().expect("an archive");
        for path in [text, other, root.path().join("missing")] {
            let error = refused(scene, &path).await;
            assert!(error.contains(path.to_str().expect("UTF-8")), "{error}");
        }
    })
    .await;
}

async fn refused(scene: &Scene, path: &Path) -> String {
    let error = scene.engine.load_image(path).await.expect_err("no image");
    assert!(matches!(error, EngineError::File { .. }), "{error:?}");
    stackrun::error::chain(&error)
}

/// The bytes as gzip, in stored blocks: a container of the format is enough here.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = b"\x1f\x8b\x08\0\0\0\0\0\0\xff".to_vec();
    let mut blocks = bytes.chunks(0xffff).peekable();
    while let Some(block) = blocks.next() {
        let length = u16::try_from(block.len()).expect("a chunk");
        packed.push(u8::from(blocks.peek().is_none()));
        packed.extend(length.to_le_bytes());
        packed.extend((!length).to_le_bytes());
        packed.extend(block);
    }
    packed.extend(crc32(bytes).to_le_bytes());
    let length = u32::try_from(bytes.len()).expect("a small file");
    packed.extend(length.to_le_bytes());
    packed
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
    !bytes
        .iter()
        .fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}
