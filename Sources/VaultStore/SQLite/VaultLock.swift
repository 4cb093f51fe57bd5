internal import Glibc

/// The lock beside a vault: every process that has the vault open holds it shared, one that creates, migrates,
/// repairs or removes it holds it alone.
///
/// flock(2) ends with the process that held it, so nothing is ever left locked by a death.
final class VaultLock: Sendable {
    enum Mode { case shared, alone }

    /// Open for the life of the object; closing it gives the lock up.
    private let descriptor: CInt
    let path: String

    static func path(of vault: String) -> String { vault + ".lock" }

    /// Takes the lock, trying for `patience` seconds; throws `locked`, naming the file and its holder, after that.
    init(vault: String, mode: Mode, patience: Double) throws(VaultError) {
        path = VaultLock.path(of: vault)
        while true {
            let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
            guard file >= 0 else { throw VaultFile.failure("open the vault's lock file \(path)", errno) }
            do {
                try VaultLock.take(mode, file, path, patience: patience)
            } catch {
                close(file)
                throw error
            }
            // Whoever removed the vault meanwhile has removed this file too, and the next one locks another.
            guard VaultLock.isStill(file, at: path) else {
                close(file)
                continue
            }
            descriptor = file
            return
        }
    }

    private static func isStill(_ file: CInt, at path: String) -> Bool {
        var (held, named) = (stat(), stat())
        return fstat(file, &held) == 0 && stat(path, &named) == 0 && held.st_dev == named.st_dev
            && held.st_ino == named.st_ino
    }

    deinit { close(descriptor) }

    /// Changes the mode in which the lock is held.
    ///
    /// The lock may pass through other hands in between.
    func take(_ mode: Mode, patience: Double) throws(VaultError) {
        try VaultLock.take(mode, descriptor, path, patience: patience)
    }

    private static func take(
        _ mode: Mode, _ descriptor: CInt, _ path: String, patience: Double
    ) throws(VaultError) {
        var waited = 0.0
        while flock(descriptor, (mode == .alone ? LOCK_EX : LOCK_SH) | LOCK_NB) != 0 {
            let code = errno
            guard code == EWOULDBLOCK || code == EINTR else { throw VaultFile.failure("lock \(path)", code) }
            guard waited < patience else { throw busy(mode, descriptor, path) }
            usleep(20_000)
            waited += 0.02
        }
        if mode == .alone { writeHolder(descriptor) }
    }

    /// Gives the lock up before the object ends.
    func release() { flock(descriptor, LOCK_UN) }

    private static func busy(_ mode: Mode, _ descriptor: CInt, _ path: String) -> VaultError {
        switch mode {
        case .shared:
            let holder = readHolder(descriptor).map { "process \($0)" } ?? "another process"
            return VaultError(
                .locked, "The vault is being created, migrated, repaired or removed by \(holder), which holds \(path).",
                hint: "Wait until it has ended and try again; it does not take long. Do not delete the lock file.")
        case .alone:
            return VaultError(
                .locked,
                "The vault must be migrated, repaired or removed alone, and other processes have it open (\(path)).",
                hint: "End them (runs, replicate, the REPL), then try again.")
        }
    }

    private static func writeHolder(_ descriptor: CInt) {
        let text = "\(getpid())\n"
        guard ftruncate(descriptor, 0) == 0 else { return }
        _ = text.withCString { pwrite(descriptor, $0, strlen($0), 0) }
    }

    private static func readHolder(_ descriptor: CInt) -> Int32? {
        var buffer = [UInt8](repeating: 0, count: 16)
        let count = pread(descriptor, &buffer, buffer.count, 0)
        guard count > 0 else { return nil }
        return Int32(String(decoding: buffer[..<count], as: UTF8.self).prefix { $0.isNumber })
    }
}
