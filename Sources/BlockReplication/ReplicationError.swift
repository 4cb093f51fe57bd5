internal import Glibc

/// An error of the replication layer: what failed, and what to do about it.
package struct ReplicationError: Error, Sendable, CustomStringConvertible {
    /// The kind of failure, stable across releases: callers decide by it, never by the message.
    package enum Code: String, Sendable, Codable, CaseIterable {
        /// An argument breaks a rule of the call; nothing has changed.
        case invalidArgument
        /// The named thing (relationship, point, file) does not exist.
        case notFound
        /// A file or record exists and cannot be what it should be.
        case damaged
        /// A valid file or request that this version does not handle.
        case unsupported
        /// Somebody else holds the lock, or an operation is still open.
        case busy
        /// The generation named as parent is not the newest one.
        case staleParent
        /// The caller's epoch is older than the recorded one.
        case staleEpoch
        /// The file system, or the quota on it, is full.
        case noSpace
        /// The source's scratch space runs out: a backup that goes on would fail the guest's own writes.
        case noScratch
        /// The operating system refused a read, write or other call.
        case io
        /// A helper program (qemu-img, qemu-nbd, ...) could not be started or failed.
        case toolFailed
        /// An NBD server refused, or the connection to it failed.
        case nbd
        /// No usable dirty bitmap: the blocks must be compared instead.
        case noUsableBitmap
        /// The peer could not be reached, or went away.
        case disconnected
        /// The peer broke the wire protocol, or speaks another version.
        case protocolViolation
        /// The peer is not who it must be, or may not do this.
        case notAuthorized
        /// Data arrived, or was read back, with another checksum than was announced.
        case checksumMismatch
        /// A limit in time was reached.
        case timedOut
        /// The caller gave up the operation.
        case cancelled
    }

    /// The kind of failure.
    package let code: Code
    /// One sentence: what failed, with the names in it.
    package let message: String
    /// What to do about it; every error has one.
    package let hint: String
    /// Further facts by name (path, offset, generation, ...).
    package let context: [String: String]
    /// The error beneath this one, when there is one.
    package let cause: (any Error)?

    /// Makes an error; `hint` says what the operator or the caller does next.
    package init(
        _ code: Code, _ message: String, hint: String, context: [String: String] = [:], cause: (any Error)? = nil
    ) {
        self.code = code
        self.message = message
        self.hint = hint
        self.context = context
        self.cause = cause
    }

    /// Message, context and hint on one line.
    package var description: String {
        var text = "\(code.rawValue): \(message)"
        if !context.isEmpty {
            let facts = context.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
            text += " [" + facts.joined(separator: ", ") + "]"
        }
        text += ". \(hint)"
        if let cause { text += " (cause: \(cause))" }
        return text
    }

    /// Makes an error from an `errno` value: a full disk becomes `.noSpace`, a missing file `.notFound`, the rest `.io`.
    package static func system(
        _ doing: String, path: String? = nil, errno number: Int32, context: [String: String] = [:]
    ) -> ReplicationError {
        var facts = context
        if let path { facts["path"] = path }
        facts["errno"] = String(number)
        let reason = String(cString: strerror(number))
        switch number {
        case ENOSPC, EDQUOT, EFBIG:
            return ReplicationError(
                .noSpace, "no space left while \(doing): \(reason)",
                hint: "free space on the file system of the store (or raise the quota or file size limit) and start"
                    + " the cycle again; earlier recovery points are intact",
                context: facts)
        case ENOENT:
            return ReplicationError(
                .notFound, "a file is missing while \(doing)",
                hint: "check that the file system is mounted and that nothing outside Perilune removes files there",
                context: facts)
        default:
            return ReplicationError(
                .io, "\(doing) failed: \(reason)",
                hint: "check the file system, its permissions and the kernel log, then try again", context: facts)
        }
    }
}
