//! Variables of the EFI firmware, as efivarfs shows them: the boot option that the firmware started, and the variables of the boot loader.

pub mod boot_option;
pub mod device_path;
pub mod variable;
