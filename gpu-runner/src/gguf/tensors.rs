//! The tensor table: names, shapes, types and where the data lies.

use super::reader::Reader;
use super::Tensor;
use crate::quant::{self, WeightType};
use std::collections::HashMap;
use std::ops::Range;

const MAX_DIMS: u32 = 4;

/// Why a table was refused.
pub(super) enum Refusal {
    /// The file is damaged.
    Damaged(String),
    /// A weight type of the format that the engine does not have.
    Type(String),
}

impl From<String> for Refusal {
    fn from(message: String) -> Self {
        Self::Damaged(message)
    }
}

/// One row of the table, checked.
#[derive(Debug)]
pub(super) struct Info {
    name: String,
    dims: Vec<usize>,
    ty: WeightType,
    /// Bytes in the file.
    range: Range<usize>,
}

impl Info {
    pub(super) fn view<'a>(&'a self, map: &'a [u8]) -> Tensor<'a> {
        Tensor {
            name: &self.name,
            dims: &self.dims,
            ty: self.ty,
            bytes: &map[self.range.clone()],
        }
    }
}

/// Reads the table and places every tensor behind it.
pub(super) fn read(
    reader: &mut Reader,
    n: u64,
    alignment: u64,
) -> Result<(Vec<Info>, HashMap<String, usize>), Refusal> {
    let n = reader.check_count(n, 32, "tensors")?;
    let (mut infos, mut names) = (Vec::new(), HashMap::new());
    for i in 0..n {
        let info = read_one(reader, alignment)?;
        if names.insert(info.name.clone(), i).is_some() {
            return Err(format!("tensor {} is there twice", info.name).into());
        }
        infos.push(info);
    }
    place(reader, &mut infos, alignment)?;
    Ok((infos, names))
}

/// One entry; its range is still relative to the data section.
fn read_one(reader: &mut Reader, alignment: u64) -> Result<Info, Refusal> {
    let name = reader.string("a tensor name")?;
    if name.is_empty() {
        return Err(format!("a tensor before byte {} has no name", reader.at()).into());
    }
    let n_dims = reader.u32(name)?;
    if !(1..=MAX_DIMS).contains(&n_dims) {
        return Err(format!("tensor {name} has {n_dims} dimensions; 1 to {MAX_DIMS} are allowed").into());
    }
    let (mut dims, mut elements) = (Vec::new(), 1usize);
    for _ in 0..n_dims {
        let dim = reader.u64(name)?;
        let product = usize::try_from(dim)
            .ok()
            .filter(|&dim| dim > 0)
            .and_then(|dim| elements.checked_mul(dim));
        elements = product.ok_or_else(|| format!("tensor {name} has a dimension of {dim} elements"))?;
        dims.push(dim as usize);
    }
    let id = reader.u32(name)?;
    let ty = WeightType::from_ggml(id).ok_or_else(|| unknown_type(name, id))?;
    if dims[0] % ty.block_len() != 0 {
        let (cols, block) = (dims[0], ty.block_len());
        return Err(format!(
            "tensor {name} has rows of {cols} elements, {} blocks hold {block}",
            ty.name()
        )
        .into());
    }
    let offset = reader.u64(name)?;
    if offset % alignment != 0 {
        return Err(format!("tensor {name} starts at offset {offset}, which is no multiple of {alignment}").into());
    }
    let bytes = (elements / ty.block_len()).checked_mul(ty.block_bytes());
    let range = usize::try_from(offset)
        .ok()
        .zip(bytes)
        .and_then(|(at, n)| Some(at..at.checked_add(n)?));
    let range = range.ok_or_else(|| format!("tensor {name} ends past any file (offset {offset})"))?;
    Ok(Info {
        name: name.to_owned(),
        dims,
        ty,
        range,
    })
}

fn unknown_type(name: &str, id: u32) -> Refusal {
    match quant::known_name(id) {
        Some(known) => {
            let have: Vec<_> = WeightType::ALL.iter().map(|ty| ty.name()).collect();
            Refusal::Type(format!(
                "tensor {name} is of type {known}, which is not supported; use {}",
                have.join(", ")
            ))
        }
        None => Refusal::Damaged(format!("tensor {name} has type {id}, which does not exist")),
    }
}

/// Turns relative ranges into file ranges; refuses what leaves the file or lies on another tensor.
fn place(reader: &Reader, infos: &mut [Info], alignment: u64) -> Result<(), String> {
    let start = (reader.at() as u64).next_multiple_of(alignment) as usize;
    for info in infos.iter_mut() {
        let end = start.checked_add(info.range.end).filter(|&end| end <= reader.len());
        if end.is_none() {
            let (name, wanted, len) = (&info.name, &info.range, reader.len());
            return Err(format!(
                "tensor {name} lies at {wanted:?} of the data section (from byte {start}), but the file ends at byte {len}"
            ));
        }
        info.range = start + info.range.start..start + info.range.end;
    }
    let mut order: Vec<&Info> = infos.iter().collect();
    order.sort_by_key(|info| info.range.start);
    for pair in order.windows(2) {
        if pair[0].range.end > pair[1].range.start {
            return Err(format!("tensors {} and {} overlap", pair[0].name, pair[1].name));
        }
    }
    Ok(())
}
