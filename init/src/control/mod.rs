//! The server side of the control protocol, [`berth_contract::control`].
