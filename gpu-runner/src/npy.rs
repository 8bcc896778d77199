//! Arrays as `.npy` files, version 1.0: what numpy reads without a dependency.

use crate::{Error, Result};
use half::f16;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// A number that numpy knows, little-endian.
pub trait Element: Copy {
    /// numpy's name of the type.
    const DTYPE: &'static str;
    /// Its bytes.
    fn put(self, to: &mut Vec<u8>);
}

macro_rules! elements {
    ($($ty:ty => $dtype:literal),*) => {$(
        impl Element for $ty {
            const DTYPE: &'static str = $dtype;
            fn put(self, to: &mut Vec<u8>) {
                to.extend_from_slice(&self.to_le_bytes());
            }
        }
    )*};
}

elements!(f16 => "<f2", f32 => "<f4", u32 => "<u4");

/// Writes `values` of this shape, last index fastest.
///
/// # Errors
/// `bad_request` with the path; [`Error::Internal`] if the shape holds another number of values.
pub fn write<T: Element>(path: &Path, shape: &[usize], values: &[T]) -> Result<()> {
    if shape.iter().product::<usize>() != values.len() {
        let text = format!("{}: {} values do not fill {shape:?}", path.display(), values.len());
        return Err(Error::Internal(text));
    }
    let failed =
        |e: std::io::Error| Error::BadRequest(format!("{}: {e}; choose a folder that can be written", path.display()));
    let mut file = BufWriter::new(File::create(path).map_err(failed)?);
    file.write_all(&header::<T>(shape)).map_err(failed)?;
    let mut bytes = Vec::new();
    for values in values.chunks(1 << 16) {
        bytes.clear();
        values.iter().for_each(|x| x.put(&mut bytes));
        file.write_all(&bytes).map_err(failed)?;
    }
    file.flush().map_err(failed)
}

/// Magic, version and a dictionary padded with spaces to a multiple of 64 bytes that ends in a line feed.
fn header<T: Element>(shape: &[usize]) -> Vec<u8> {
    let mut sizes = shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    if shape.len() == 1 {
        sizes.push(',');
    }
    let mut text = format!(
        "{{'descr': '{}', 'fortran_order': False, 'shape': ({sizes}), }}",
        T::DTYPE
    );
    let length = (10 + text.len() + 1).next_multiple_of(64);
    text.push_str(&" ".repeat(length - 10 - text.len() - 1));
    text.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend_from_slice(&((length - 10) as u16).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by numpy 2.4: `np.save(f, np.array([[1, 2, 3]], np.float16))`.
    #[test]
    fn the_bytes_are_those_of_numpy() {
        let mut wanted =
            b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f2', 'fortran_order': False, 'shape': (1, 3), }".to_vec();
        wanted.resize(127, b' ');
        wanted.push(b'\n');
        assert_eq!(header::<f16>(&[1, 3]), wanted);
    }
}
