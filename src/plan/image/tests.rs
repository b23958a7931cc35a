use insta::assert_snapshot;
use jiff::ToSpan as _;

use super::*;
use crate::plan::{
    Addresses,
    tests::{BY_THE_FILE, image, project},
};

const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

/// Plans the images of `services` on an engine that has `there`: name and day of its
/// making.
fn planned(services: &str, there: &[(&str, i64)], options: ImageOptions) -> String {
    let project = project(&format!("name: p\nservices:\n{services}"));
    // One of `run`, whose name says nothing about the place.
    let session: SessionName = "p-0123ab".parse().unwrap();
    let day = |day: i64| NOW.checked_sub((24 * day).hours()).ok();
    let images = there.iter().map(|(name, age)| {
        let image = Image {
            created: day(*age),
            tagged: day(*age),
            ..image()
        };
        ((*name).to_owned(), image)
    });
    let world = World {
        images: images.collect(),
        ..World::default()
    };
    let request = Request {
        project: &project,
        session: &session,
        workers: 4,
        images: ImageOptions {
            now: NOW,
            ..options
        },
        addresses: &Addresses::new(),
        remove_orphans: false,
        known_services: &[],
    };
    match images_of(&request, &world) {
        Ok(text) => text,
        Err(error) => format!("error: {error}\n"),
    }
}

fn images_of(request: &Request<'_>, world: &World) -> Result<String, PlanError> {
    let images = images(request, world)?;
    let project = images.resolve(request.project);
    let names = project.services.values();
    let names = names.map(|service| format!("{}: {}\n", service.name, service.image));
    Ok(images.plan.to_string() + &names.collect::<String>())
}

#[test]
fn a_missing_image_is_pulled_once_for_all() {
    let services = "  a: { image: redis }\n  b: { image: redis }\n  c: { image: there }\n";
    assert_snapshot!(planned(services, &[("there", 0)], BY_THE_FILE), @"
    #0 pull image redis, not found
    a: redis
    b: redis
    c: there
    ");
}

#[test]
fn what_is_built_here_has_a_name_of_its_own() {
    let services = "  a: { build: . }\n  b: { image: 'host:5000/b', build: . }\n  c: { image: 'c:1', build: . }\n";
    assert_snapshot!(planned(services, &[], BY_THE_FILE), @"
    #0 build image c:1-ea0135, not found
    #1 build image host:5000/b:latest-ea0135, not found
    #2 build image p-ea0135-a, not found
    a: p-ea0135-a
    b: host:5000/b:latest-ea0135
    c: c:1-ea0135
    ");
}

#[test]
fn the_younger_of_two_images_is_taken() {
    let services = "  a: { image: 'a:1', build: . }\n";
    let own = "a:1-ea0135";
    assert_snapshot!(planned(services, &[("a:1", 1), (own, 2)], BY_THE_FILE), @"a: a:1");
    assert_snapshot!(planned(services, &[("a:1", 2), (own, 1)], BY_THE_FILE), @"a: a:1-ea0135");
}

#[test]
fn the_command_line_has_the_last_word() {
    let services = "  a: { build: . }\n  b: { image: b, pull_policy: never }\n";
    let there = [("p-ea0135-a", 1), ("b", 1)];
    let build = ImageOptions {
        build: Some(true),
        pull: Some(PullPolicy::Always),
        ..BY_THE_FILE
    };
    assert_snapshot!(planned(services, &there, build), @"
    #0 pull image b, pulled every time
    #1 build image p-ea0135-a, a build is asked for
    a: p-ea0135-a
    b: b
    ");
    let nothing = ImageOptions {
        build: Some(false),
        ..BY_THE_FILE
    };
    assert_snapshot!(planned(services, &[("b", 1)], nothing), @"error: image `p-a` of `a` is not there, and `--no-build` is given");
    assert_snapshot!(planned(services, &there[..1], BY_THE_FILE), @"error: image `b` of `b` is not there, and pulling is ruled out");
}

#[test]
fn an_image_is_pulled_again_when_it_is_too_old() {
    let services = "  a: { image: a, pull_policy: weekly }\n  b: { image: b, pull_policy: every_12h }\n  \
                    c: { image: c, pull_policy: refresh, pull_refresh_after: 3d }\n";
    let there = [("a", 6), ("b", 1), ("c", 2)];
    assert_snapshot!(planned(services, &there, BY_THE_FILE), @"
    #0 pull image b, older than its `pull_policy` allows
    a: a
    b: b
    c: c
    ");
}

#[test]
fn an_archive_is_opened_for_one_image_at_a_time() {
    let services = "  a: { image: a, build: . }\n  b: { image: b, pull_policy: never }\n  c: { image: c }\n\
                    x-stackrun: { images: { a: all.tar, b: all.tar, c: ../c.tar } }\n";
    assert_snapshot!(planned(services, &[("c", 9)], BY_THE_FILE), @"
    #0 load image a from /project/all.tar, not found
    [0] -> #1 load image b from /project/all.tar, not found
    a: a
    b: b
    c: c
    ");
}

#[test]
fn an_image_comes_after_those_that_it_is_built_from() {
    let services = "  a: { build: { context: ., additional_contexts: { base: 'service:b' } } }\n  b: { build: ./b }\n";
    assert_snapshot!(planned(services, &[], BY_THE_FILE), @"
    #0 build image p-ea0135-b, not found
    [0] -> #1 build image p-ea0135-a, not found
    a: p-ea0135-a
    b: p-ea0135-b
    ");
    let circle = "  a: { build: { context: ., additional_contexts: { base: 'service:b' } } }\n  \
                  b: { build: { context: ., additional_contexts: { base: 'service:a' } } }\n";
    assert_snapshot!(planned(circle, &[], BY_THE_FILE), @"error: the images `p-ea0135-a` and `p-ea0135-b` are built from each other");
}
