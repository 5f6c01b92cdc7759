//! Finds out what an upload-pack request asks for, from the beginning of its body.

use std::io::Read;

use flate2::read::GzDecoder;

use crate::log::Command;

/// How many plain bytes decide.
const ENOUGH: usize = 24;

/// The command, or nothing while there are too few bytes. `whole` says that there are no more.
pub(crate) fn command_of(body: &[u8], gzip: bool, whole: bool) -> Option<Command> {
    let plain = if gzip { inflate(body) } else { body.to_vec() };
    if plain.len() < ENOUGH && !whole {
        return None;
    }
    let payload = plain.get(4..).unwrap_or_default();
    Some(if payload.starts_with(b"command=ls-refs") {
        Command::LsRefs
    } else if payload.starts_with(b"command=fetch") {
        Command::Fetch
    } else if payload.starts_with(b"want ") || payload.starts_with(b"shallow ") {
        Command::V0
    } else {
        Command::Unknown
    })
}

fn inflate(body: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut decoder = GzDecoder::new(body);
    let mut buffer = [0; ENOUGH];
    while plain.len() < ENOUGH {
        match decoder.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(count) => plain.extend_from_slice(&buffer[..count]),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    #[test]
    fn the_command_is_found_in_plain_and_compressed_bodies() {
        let body = b"0014command=ls-refs\n0001000bpeel\n0000".as_slice();
        assert_eq!(command_of(body, false, false), Some(Command::LsRefs));
        assert_eq!(command_of(&body[..9], false, false), None);
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(b"0011command=fetch0001000fno-progress").unwrap();
        let packed = encoder.finish().unwrap();
        assert_eq!(command_of(&packed, true, true), Some(Command::Fetch));
        assert_eq!(command_of(&packed[..5], true, false), None);
        assert_eq!(command_of(b"0032want 0123", false, true), Some(Command::V0));
        assert_eq!(command_of(b"0000", false, true), Some(Command::Unknown));
    }
}
