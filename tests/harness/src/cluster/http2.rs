//! HTTP/2 as far as counting needs it: frames, and the bodies in them.
//!
//! Headers are compressed with what went before, and stay as they are. Of an answer's, the first byte tells whether its
//! status is 200: that one has a number of its own in the static table, and comes first.

/// What a client sends before its first frame.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEAD: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;
/// `:status: 200`, by its number in the static table.
const STATUS_200: u8 = 0x88;

/// Something that one side said on a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// Headers begin; whether they say `:status: 200` first.
    Headers { stream: u32, is_ok: bool },
    /// A piece of the body, without padding.
    Data { stream: u32, body: Vec<u8> },
}

/// Reads one direction of a connection, however its bytes are cut.
#[derive(Debug, Default)]
pub(super) struct Frames {
    waiting: Vec<u8>,
    preface: bool,
}

impl Frames {
    /// What a client sends.
    pub(super) fn of_client() -> Self {
        Self { waiting: Vec::new(), preface: true }
    }

    /// Takes in more bytes, and returns what is whole by now. None where they are no HTTP/2.
    pub(super) fn take_in(&mut self, bytes: &[u8]) -> Option<Vec<Said>> {
        self.waiting.extend_from_slice(bytes);
        if self.preface {
            let have = self.waiting.len().min(PREFACE.len());
            if self.waiting[..have] != PREFACE[..have] {
                return None;
            }
            if have < PREFACE.len() {
                return Some(Vec::new());
            }
            self.waiting.drain(..PREFACE.len());
            self.preface = false;
        }
        let (mut said, mut start) = (Vec::new(), 0);
        while let Some(&[a, b, c, kind, flags, s0, s1, s2, s3]) =
            self.waiting.get(start..).and_then(|rest| rest.first_chunk::<FRAME_HEAD>())
        {
            let length = u32::from_be_bytes([0, a, b, c]) as usize;
            let Some(payload) = self.waiting.get(start + FRAME_HEAD..start + FRAME_HEAD + length) else { break };
            let stream = u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]);
            match kind {
                DATA => said.push(Said::Data { stream, body: unpadded(payload, flags, 0)?.to_vec() }),
                HEADERS => {
                    let before = if flags & PRIORITY == 0 { 0 } else { 5 };
                    let is_ok = unpadded(payload, flags, before)?.first() == Some(&STATUS_200);
                    said.push(Said::Headers { stream, is_ok });
                }
                _ => {}
            }
            start += FRAME_HEAD + length;
        }
        self.waiting.drain(..start);
        Some(said)
    }
}

/// A payload without its padding, and without the `before` bytes that its kind begins with.
fn unpadded(payload: &[u8], flags: u8, before: usize) -> Option<&[u8]> {
    if flags & PADDED == 0 {
        return payload.get(before..);
    }
    let (length, rest) = payload.split_first()?;
    rest.get(before..rest.len().checked_sub((*length).into())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
    }

    #[test]
    fn bodies_are_read_however_the_bytes_are_cut() {
        let wire = [
            frame(4, 0, 0, &[0; 12]),
            frame(HEADERS, PRIORITY | PADDED, 1, &[&[2][..], &[0; 5], &[STATUS_200, 1], &[0; 2]].concat()),
            frame(DATA, 0, 1, b"rows"),
            frame(HEADERS, 0, 3, &[0x48, 0x83]),
            frame(DATA, PADDED, 3, b"\x03no\0\0\0"),
            frame(DATA, 1, 1, b""),
        ]
        .concat();
        let expect = [
            Said::Headers { stream: 1, is_ok: true },
            Said::Data { stream: 1, body: b"rows".to_vec() },
            Said::Headers { stream: 3, is_ok: false },
            Said::Data { stream: 3, body: b"no".to_vec() },
            Said::Data { stream: 1, body: Vec::new() },
        ];
        for cut in 1..wire.len() {
            let mut frames = Frames::default();
            let said: Option<Vec<_>> = wire.chunks(cut).map(|bytes| frames.take_in(bytes)).collect();
            assert_eq!(said.map(|said| said.concat()).as_deref(), Some(&expect[..]), "cut every {cut} bytes");
        }
    }

    #[test]
    fn what_is_no_http2_is_told() {
        let mut client = Frames::of_client();
        assert_eq!(client.take_in(&PREFACE[..7]), Some(Vec::new()));
        let rest = [&PREFACE[7..], &frame(DATA, 0, 1, b"q")].concat();
        assert_eq!(client.take_in(&rest), Some(vec![Said::Data { stream: 1, body: b"q".to_vec() }]));
        assert_eq!(Frames::of_client().take_in(b"GET / HTTP/1.1\r\n"), None);
        assert_eq!(Frames::default().take_in(&frame(DATA, PADDED, 1, &[9, 1])), None);
    }
}
