//! What of our own memory can be given back.

use std::ffi::{c_int, c_void};

/// Gives back the pages of the program and its libraries that are backed by their files: what only the start needed
/// (the loader, the command line, the configuration) does not count as ours any more, and what is needed on comes back
/// from the page cache when it is next touched (madvise(2), MADV_DONTNEED).
pub fn release_start_pages() {
    extern "C" fn each(object: *mut libc::dl_phdr_info, _size: usize, _data: *mut c_void) -> c_int {
        // SAFETY: the loader hands over one valid record for each object, with its headers, for the time of the call.
        let (base, headers) = unsafe {
            let object = &*object;
            (object.dlpi_addr as usize, std::slice::from_raw_parts(object.dlpi_phdr, object.dlpi_phnum.into()))
        };
        for header in headers.iter().filter(|header| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W == 0)
        {
            // Pages have one protection each, so that none of them is another segment's, too.
            let page = header.p_align.max(1) as usize;
            let start = (base + header.p_vaddr as usize) & !(page - 1);
            let end = base + (header.p_vaddr + header.p_memsz) as usize;
            // SAFETY: the range is a loaded segment that nothing writes to, privately mapped from a file: a page that is
            // dropped is read again, the same, when it is touched. A refusal leaves it where it is.
            unsafe { libc::madvise(start as *mut c_void, end - start, libc::MADV_DONTNEED) };
        }
        0
    }
    // SAFETY: the callback keeps nothing of what it is shown.
    unsafe { libc::dl_iterate_phdr(Some(each), std::ptr::null_mut()) };
}
