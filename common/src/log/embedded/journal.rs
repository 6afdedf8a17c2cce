//! Cuts what a crash left unfinished at the end of the store's journal.
//!
//! The store itself cuts a last batch that is too short, but refuses to open when the batch is complete in length
//! and wrong in content, as a power failure leaves it: blocks of a file reach the disk in any order. Nothing in
//! such a batch was confirmed, because a batch is confirmed only after its sync.
//!
//! A damaged batch with complete ones behind it is something else: those may have been synced and confirmed. They
//! cannot be read past the damage, but what is cut off is kept beside the journal.
//!
//! A journal is a sequence of batches (numbers are little endian):
//!
//! ```text
//! batch = 1 count(4) seqno(8) { item } 3 checksum(8) "FJL" 3      checksum: XXH3 of the items
//! item  = 2 type(1) compression(1) keyspace(8) key length(2) length(4) stored length(4) key value
//!       | 4 keyspace(8)
//! ```
//!
//! then zeros up to the file's allocated end.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tracing::{error, warn};
use xxhash_rust::xxh3::Xxh3;

use crate::log::embedded::layout::sync_parent;

const TAG_START: u8 = 1;
const TAG_ITEM: u8 = 2;
const TAG_END: u8 = 3;
const TAG_CLEAR: u8 = 4;
const TRAILER: [u8; 4] = *b"FJL\x03";
/// Of a batch, before its first item.
const HEAD_BYTES: usize = 1 + 4 + 8;
const ITEM_HEAD_BYTES: usize = 2 + 8 + 2 + 4 + 4;
const READ_BYTES: usize = 64 * 1024;

/// Cuts the newest journal in `store` behind its last complete batch, and says so, unless only zeros follow.
pub(super) fn cut_torn_tail(store: &Path) -> io::Result<()> {
    let Some(path) = newest(store)? else { return Ok(()) };
    let file = File::options().read(true).write(true).open(&path)?;
    let mut reader = Counting { inner: BufReader::with_capacity(READ_BYTES, file), position: 0 };
    let mut kept = 0;
    while batch(&mut reader)? {
        kept = reader.position;
    }
    let mut file = reader.inner.into_inner();
    let torn = last_nonzero(&mut file, kept)?;
    if torn == kept {
        return Ok(());
    }
    let cut = read_range(&mut file, kept, torn)?;
    let (journal, kept_bytes, cut_bytes) = (path.display(), kept, cut.len());
    if has_batch(&cut)? {
        let copy = keep_aside(&path, &cut)?;
        error!(
            %journal, kept_bytes, cut_bytes, copy = %copy.display(),
            "the log is damaged before its end, and what follows the damage is cut off: notifications that were confirmed \
             may be missing; check the disk, and keep the copy for those who look into it, or remove it"
        );
    } else {
        warn!(%journal, kept_bytes, cut_bytes, "the last write was not finished; it is cut off");
    }
    file.set_len(kept)?;
    file.sync_all()
}

/// Whether a complete batch begins anywhere behind the first byte.
fn has_batch(bytes: &[u8]) -> io::Result<bool> {
    for start in 1..bytes.len().saturating_sub(HEAD_BYTES) {
        // Most places are ruled out by two bytes.
        if bytes[start] == TAG_START
            && matches!(bytes[start + HEAD_BYTES], TAG_ITEM | TAG_CLEAR)
            && batch(&mut Counting { inner: &bytes[start..], position: 0 })?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Writes what is cut off beside the journal, safely before it goes from there. Earlier copies stay.
fn keep_aside(journal: &Path, cut: &[u8]) -> io::Result<PathBuf> {
    for number in 0.. {
        let mut copy = journal.as_os_str().to_owned();
        copy.push(".damaged");
        if number > 0 {
            copy.push(format!(".{number}"));
        }
        let copy = PathBuf::from(copy);
        let mut file = match File::create_new(&copy) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(error),
        };
        file.write_all(cut)?;
        file.sync_all()?;
        sync_parent(&copy)?;
        return Ok(copy);
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn read_range(file: &mut File, from: u64, to: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(from))?;
    file.take(to - from).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn newest(store: &Path) -> io::Result<Option<PathBuf>> {
    let mut newest = None;
    for entry in std::fs::read_dir(store)? {
        let path = entry?.path();
        let number = path.extension().filter(|extension| *extension == "jnl").and(path.file_stem());
        if let Some(number) = number.and_then(|stem| stem.to_str()?.parse::<u64>().ok()) {
            newest = newest.max(Some((number, path)));
        }
    }
    Ok(newest.map(|(_, path)| path))
}

struct Counting<R> {
    inner: R,
    position: u64,
}

impl<R: Read> Counting<R> {
    /// Fills `buffer`; false where the file ends before.
    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        match self.inner.read_exact(buffer) {
            Ok(()) => {
                self.position += buffer.len() as u64;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn array<const N: usize>(&mut self) -> io::Result<Option<[u8; N]>> {
        let mut buffer = [0; N];
        Ok(self.fill(&mut buffer)?.then_some(buffer))
    }
}

/// Reads one batch; false unless it is complete and right.
fn batch(reader: &mut Counting<impl Read>) -> io::Result<bool> {
    if reader.array::<1>()? != Some([TAG_START]) {
        return Ok(false);
    }
    let Some(count) = reader.array::<4>()?.map(u32::from_le_bytes) else { return Ok(false) };
    if reader.array::<8>()?.is_none() {
        return Ok(false);
    }
    let mut checksum = Xxh3::new();
    for _ in 0..count {
        if !item(reader, &mut checksum)? {
            return Ok(false);
        }
    }
    Ok(reader.array::<1>()? == Some([TAG_END])
        && reader.array::<8>()?.map(u64::from_le_bytes) == Some(checksum.digest())
        && reader.array::<4>()? == Some(TRAILER))
}

fn item(reader: &mut Counting<impl Read>, checksum: &mut Xxh3) -> io::Result<bool> {
    let Some([tag]) = reader.array::<1>()? else { return Ok(false) };
    checksum.update(&[tag]);
    match tag {
        TAG_ITEM => {
            let Some(head) = reader.array::<ITEM_HEAD_BYTES>()? else { return Ok(false) };
            checksum.update(&head);
            let key = u16::from_le_bytes([head[10], head[11]]);
            let value = u32::from_le_bytes([head[16], head[17], head[18], head[19]]);
            content(reader, u64::from(key) + u64::from(value), checksum)
        }
        TAG_CLEAR => content(reader, 8, checksum),
        _ => Ok(false),
    }
}

/// Reads `length` bytes in pieces: a wrong length must not become a large allocation.
fn content(reader: &mut Counting<impl Read>, length: u64, checksum: &mut Xxh3) -> io::Result<bool> {
    let mut buffer = [0; 4096];
    let mut left = length;
    while left > 0 {
        let piece = &mut buffer[..left.min(4096) as usize];
        if !reader.fill(piece)? {
            return Ok(false);
        }
        checksum.update(piece);
        left -= piece.len() as u64;
    }
    Ok(true)
}

/// The place behind the last byte at or behind `from` that is not zero; `from` if there is none.
fn last_nonzero(file: &mut File, from: u64) -> io::Result<u64> {
    file.seek(SeekFrom::Start(from))?;
    let mut buffer = vec![0; READ_BYTES];
    let (mut place, mut last) = (from, from);
    loop {
        let length = file.read(&mut buffer)?;
        if length == 0 {
            return Ok(last);
        }
        if let Some(index) = buffer[..length].iter().rposition(|byte| *byte != 0) {
            last = place + index as u64 + 1;
        }
        place += length as u64;
    }
}
