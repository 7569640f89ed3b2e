#![allow(missing_docs)]
use berth_contract::digest::{RootHash, Sha256};
use sha2::Digest;
#[derive(Clone, Debug)]
pub struct Superblock {
    pub data_blocks: u64,
    pub salt: Vec<u8>,
}
impl Superblock {
    pub fn parse(b: &[u8]) -> Result<Self, String> {
        if &b[..8] != b"verity\0\0" {
            return Err("no verity superblock".into());
        }
        let n = u64::from_le_bytes(b[72..80].try_into().unwrap_or_default());
        let s = usize::from(u16::from_le_bytes([b[80], b[81]]));
        Ok(Self { data_blocks: n, salt: b[88..88 + s].to_vec() })
    }
    pub fn data_bytes(&self) -> u64 {
        self.data_blocks * 4096
    }
}
pub fn root_hash_of(s: &Superblock, block: &[u8]) -> RootHash {
    let mut h = sha2::Sha256::new();
    h.update(&s.salt);
    h.update(block);
    RootHash(Sha256(h.finalize().into()))
}
pub fn table(s: &Superblock, r: RootHash, d: &str, h: &str, o: &[&str]) -> String {
    let salt: String = s.salt.iter().map(|b| format!("{b:02x}")).collect();
    format!("1 {d} {h} 4096 4096 {} 1 sha256 {r} {salt} {} {}", s.data_blocks, o.len(), o.join(" "))
}
