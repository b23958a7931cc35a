//! What a container or a command wrote.

use futures::StreamExt;
use stackrun::engine::{OutputFrame, OutputStream, StdStream};

/// Everything that was written, in the frames in which it came.
#[derive(Debug, Default)]
pub struct Output {
    pub frames: Vec<OutputFrame>,
}

impl Output {
    /// All bytes of one stream.
    pub fn bytes(&self, stream: StdStream) -> Vec<u8> {
        let frames = self.frames.iter().filter(|frame| frame.stream == stream);
        frames.flat_map(|frame| frame.bytes.to_vec()).collect()
    }

    /// Standard output as text.
    pub fn stdout(&self) -> String {
        text(self.bytes(StdStream::Stdout))
    }

    /// Standard error as text.
    pub fn stderr(&self) -> String {
        text(self.bytes(StdStream::Stderr))
    }
}

/// Compares what may be long, without printing all of it.
#[track_caller]
pub fn assert_same(left: &[u8], right: &[u8]) {
    if left == right {
        return;
    }
    let at = left.iter().zip(right).take_while(|(a, b)| a == b).count();
    let near = |bytes: &[u8]| {
        let near = &bytes[at.saturating_sub(20)..bytes.len().min(at + 20)];
        near.escape_ascii().to_string()
    };
    let (lengths, near) = ((left.len(), right.len()), (near(left), near(right)));
    panic!("different from byte {at} on; lengths {lengths:?}: {near:#?}");
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("UTF-8")
}

/// Reads a stream to its end.
pub async fn collect(mut stream: OutputStream) -> Output {
    let mut output = Output::default();
    while let Some(frame) = stream.next().await {
        output.frames.push(frame.expect("output"));
    }
    output
}
