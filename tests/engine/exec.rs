//! Commands in a running container.

use stackrun::engine::{ExecProcess, ExecSpec, Refusal, TerminalSize};
use tokio::io::AsyncWriteExt;

use crate::support::{Output, Scene, collect};

fn command(words: &str) -> ExecSpec {
    ExecSpec {
        command: format!("/fixture {words}")
            .split_whitespace()
            .map(str::to_owned)
            .collect(),
        ..ExecSpec::default()
    }
}

async fn container(scene: &Scene) -> String {
    scene
        .start(&scene.container("it", scene.service("sleep")))
        .await
}

async fn exec(scene: &Scene, id: &str, spec: &ExecSpec) -> ExecProcess {
    scene.engine.exec(id, spec).await.expect("a command")
}

async fn run(scene: &Scene, id: &str, spec: &ExecSpec) -> (Output, Option<i64>) {
    let process = exec(scene, id, spec).await;
    let output = collect(process.output).await;
    (
        output,
        scene
            .engine
            .exec_exit_code(&process.id)
            .await
            .expect("a command"),
    )
}

#[tokio::test]
async fn its_streams_and_its_exit_code_are_told() {
    Scene::play(async |scene| {
        let id = container(scene).await;
        let spec = command("print one then complain two then bytes out 0001ff then exit 7");
        let (output, code) = run(scene, &id, &spec).await;
        assert_eq!(
            output.bytes(stackrun::engine::StdStream::Stdout),
            b"one\n\x00\x01\xff"
        );
        assert_eq!((output.stderr().as_str(), code), ("two\n", Some(7)));
    })
    .await;
}

#[tokio::test]
async fn while_it_runs_it_has_no_exit_code() {
    Scene::play(async |scene| {
        let id = container(scene).await;
        let spec = ExecSpec {
            stdin: true,
            ..command("copy")
        };
        let mut process = exec(scene, &id, &spec).await;
        assert_eq!(
            scene.engine.exec_exit_code(&process.id).await.expect("it"),
            None
        );
        process
            .input
            .shutdown()
            .await
            .expect("the end of its input");
        collect(process.output).await;
        assert_eq!(
            scene.engine.exec_exit_code(&process.id).await.expect("it"),
            Some(0)
        );
    })
    .await;
}

#[tokio::test]
async fn it_reads_its_input_to_the_end() {
    Scene::play(async |scene| {
        let id = container(scene).await;
        let spec = ExecSpec {
            stdin: true,
            ..command("copy")
        };
        let mut process = exec(scene, &id, &spec).await;
        let text = "line\n".repeat(50_000);
        let written = async {
            process
                .input
                .write_all(text.as_bytes())
                .await
                .expect("it reads");
            process
                .input
                .shutdown()
                .await
                .expect("the end of its input");
        };
        let (output, ()) = tokio::join!(collect(process.output), written);
        assert_eq!(output.stdout(), text);
    })
    .await;
}

#[tokio::test]
async fn its_terminal_has_the_size_that_it_is_told() {
    Scene::play(async |scene| {
        let id = container(scene).await;
        let spec = ExecSpec {
            tty: true,
            stdin: true,
            ..command("copy then tty")
        };
        let mut process = exec(scene, &id, &spec).await;
        let size = TerminalSize {
            rows: 33,
            columns: 120,
        };
        scene
            .engine
            .resize_exec(&process.id, size)
            .await
            .expect("a terminal");
        // Control-D: the end of input, on a terminal.
        process.input.write_all(&[4]).await.expect("it reads");
        let output = collect(process.output).await.stdout();
        assert!(output.contains("33 rows, 120 columns\r\n"), "{output:?}");
    })
    .await;
}

#[tokio::test]
async fn user_directory_and_variables_are_its_own() {
    Scene::play(async |scene| {
        let id = container(scene).await;
        let spec = ExecSpec {
            user: Some("1234:5678".to_owned()),
            working_dir: Some("/seed".to_owned()),
            environment: vec!["EXTRA=yes".to_owned()],
            ..command("read file then env EXTRA then env FROM_IMAGE then read /proc/self/status")
        };
        let (output, code) = run(scene, &id, &spec).await;
        let text = output.stdout();
        assert!(text.starts_with("from the image\nyes\nyes\n"), "{text}");
        assert!(
            text.contains("Uid:\t1234\t") && text.contains("Gid:\t5678\t"),
            "{text}"
        );
        assert_eq!(code, Some(0));
    })
    .await;
}

#[tokio::test]
async fn a_program_that_is_missing_does_not_look_like_success() {
    Scene::play(async |scene| {
        let id = container(scene).await;
        let spec = ExecSpec {
            command: vec!["/no/such/program".to_owned()],
            ..command("")
        };
        // Docker 20.10 and later say so in the output and in the exit code, engines
        // before and after in the answer.
        match scene.engine.exec(&id, &spec).await {
            Err(error) => assert!(error.refusal().is_some(), "{error:?}"),
            Ok(process) => {
                collect(process.output).await;
                let code = scene.engine.exec_exit_code(&process.id).await.expect("it");
                assert!(matches!(code, Some(126 | 127)), "{code:?}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn in_a_container_that_is_over_nothing_can_be_run() {
    Scene::play(async |scene| {
        let ended = scene.run("it", scene.service("exit 0")).await;
        let error = scene.engine.exec(&ended.id, &command("exit 0")).await.err();
        let error = error.expect("it is over");
        assert_eq!(error.refusal(), Some(Refusal::Conflict), "{error:?}");
    })
    .await;
}
