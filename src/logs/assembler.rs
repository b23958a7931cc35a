//! Lines out of frames.
//!
//! Engines cut output wherever it suits them: in the middle of a line, of a
//! character, at 16 KiB. Nothing of that is seen after this.

use bytes::{Bytes, BytesMut};

/// The longest line that is held in memory, in bytes. A longer one is passed on in
/// pieces, so that output without line feeds cannot fill the memory.
pub const MAX_LINE: usize = 1 << 20;

/// A line, or a piece of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// The bytes, without the line feed.
    pub text: Bytes,
    /// Whether a line feed ended it.
    pub ended: bool,
}

/// Makes lines of one stream's frames.
#[derive(Debug, Default)]
pub struct Assembler {
    partial: BytesMut,
}

impl Assembler {
    /// Takes a frame and passes on the lines that it completes.
    pub fn push(&mut self, mut frame: Bytes, mut line: impl FnMut(Chunk)) {
        while !frame.is_empty() {
            let newline = frame.iter().position(|byte| *byte == b'\n');
            let room = MAX_LINE - self.partial.len();
            match newline {
                Some(at) if at <= room => {
                    let text = self.take_with(frame.split_to(at));
                    let _newline = frame.split_to(1);
                    line(Chunk { text, ended: true });
                }
                None if frame.len() < room => {
                    self.partial.extend_from_slice(&frame);
                    return;
                }
                _ => {
                    let piece = frame.split_to(room.min(frame.len()));
                    let text = self.take_with(piece);
                    line(Chunk { text, ended: false });
                }
            }
        }
    }

    /// What was written after the last line feed, if anything was.
    pub fn finish(&mut self) -> Option<Chunk> {
        let text = self.take_with(Bytes::new());
        (!text.is_empty()).then_some(Chunk { text, ended: false })
    }

    fn take_with(&mut self, tail: Bytes) -> Bytes {
        if self.partial.is_empty() {
            return tail;
        }
        self.partial.extend_from_slice(&tail);
        self.partial.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn assemble(frames: &[&[u8]]) -> Vec<Chunk> {
        let mut assembler = Assembler::default();
        let mut chunks = Vec::new();
        for frame in frames {
            assembler.push(Bytes::copy_from_slice(frame), |chunk| chunks.push(chunk));
        }
        chunks.extend(assembler.finish());
        chunks
    }

    fn bytes_of(chunks: &[Chunk]) -> Vec<u8> {
        let with_newline =
            |chunk: &Chunk| [&chunk.text[..], if chunk.ended { b"\n" } else { b"" }].concat();
        chunks.iter().flat_map(with_newline).collect()
    }

    #[test]
    fn a_line_in_three_frames_is_one_line() {
        let chunks = assemble(&[b"hel", b"lo", b"\nbye"]);
        assert_eq!(
            chunks,
            [
                Chunk {
                    text: "hello".into(),
                    ended: true
                },
                Chunk {
                    text: "bye".into(),
                    ended: false
                },
            ]
        );
    }

    #[test]
    fn a_line_over_the_limit_comes_in_pieces() {
        let long = vec![b'x'; MAX_LINE * 2 + 5];
        let chunks = assemble(&[&long, b"\n"]);
        assert_eq!(
            chunks
                .iter()
                .map(|chunk| chunk.text.len())
                .collect::<Vec<_>>(),
            [MAX_LINE, MAX_LINE, 5]
        );
        assert_eq!(
            chunks.iter().map(|chunk| chunk.ended).collect::<Vec<_>>(),
            [false, false, true]
        );
    }

    #[test]
    fn a_line_of_exactly_the_limit_stays_whole() {
        let long = vec![b'x'; MAX_LINE];
        let chunks = assemble(&[&long[..MAX_LINE - 1], b"x\n"]);
        assert_eq!(bytes_of(&chunks).len(), MAX_LINE + 1);
        assert!(chunks.last().unwrap().ended);
    }

    proptest! {
        #[test]
        fn no_byte_is_lost_or_moved(frames in proptest::collection::vec(
            proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..64), 0..32,
        )) {
            let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
            let chunks = assemble(&frames);
            prop_assert_eq!(bytes_of(&chunks), frames.concat());
            prop_assert!(chunks.iter().all(|chunk| !chunk.text.contains(&b'\n')));
        }
    }
}
