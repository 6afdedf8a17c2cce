//! A whole run of one target: its corpus, then new inputs for some time.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::{Mutator, Target, attempt, corpus, hunt};

/// The clock is looked at once in so many inputs.
const CLOCK_EVERY: u64 = 64;

/// A run that found nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// Files of the corpus.
    pub files: usize,
    /// New inputs.
    pub inputs: u64,
    /// With which they can be made again.
    pub seed: u64,
}

/// Why a run is not sound.
#[derive(Debug)]
pub enum Broken {
    /// The corpus cannot be read, or an input cannot be kept there.
    Corpus(std::io::Error),
    /// A file of the corpus breaks a promise.
    File {
        /// Its path.
        name: String,
        /// What the target said.
        message: String,
    },
    /// A new input breaks a promise. It is kept.
    Input {
        /// Where it is kept, made small.
        path: PathBuf,
        /// With which it can be made again.
        seed: u64,
        /// What the target said.
        message: String,
    },
}

/// Tries the corpus of `target`, then new inputs made of `seed` for the time `during`.
pub fn run(target: Target, seed: u64, during: Duration) -> Result<Done, Broken> {
    let folder = corpus::folder(target.name);
    let files = corpus::load(&folder).map_err(Broken::Corpus)?;
    for (name, input) in &files {
        attempt(target, input).map_err(|message| Broken::File { name: name.clone(), message })?;
    }
    let seeds: Vec<_> = files.into_iter().map(|(_, input)| input).collect();
    let end = Instant::now() + during;
    let mut more = true;
    let result = hunt(target, &mut Mutator::new(seed, &seeds), |count| {
        if count.is_multiple_of(CLOCK_EVERY) {
            more = Instant::now() < end;
        }
        more
    });
    match result {
        Ok(inputs) => Ok(Done { files: seeds.len(), inputs, seed }),
        Err(failure) => {
            let path = corpus::save(&folder, &failure.input).map_err(Broken::Corpus)?;
            Err(Broken::Input { path, seed, message: failure.message })
        }
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sound with {} files and {} inputs of seed {}", self.files, self.inputs, self.seed)
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corpus(error) => write!(f, "the corpus cannot be used: {error}"),
            Self::File { name, message } => write!(f, "{message}\n  with {name}"),
            Self::Input { path, seed, message } => {
                write!(f, "{message}\n  with an input of seed {seed}, kept as {}", path.display())
            }
        }
    }
}
