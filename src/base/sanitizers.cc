// What the sanitizers have to know of libraries that aren't compiled with them.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
// ThreadSanitizer sees memcpy, memcmp and free in Debian's libraries, but not the atomic operations
// that order them: the pointers of LevelDB's memtable; OpenSSL's counted references, and its flag
// that a certificate's fields have been looked up, which handshakes on all cores share. What
// OpenSSL calls of ours, the socket's reads and writes, stays under watch.
extern "C" const char* __tsan_default_suppressions() {  // NOLINT: the runtime's name
  return "race:libleveldb.so\n"
         "called_from_lib:libcrypto.so\n"
         "called_from_lib:libssl.so\n";
}
#endif
#endif
