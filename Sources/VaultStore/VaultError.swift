/// Why the vault refused or could not be opened.
package struct VaultError: Error, Sendable, CustomStringConvertible {
    package enum Code: String, Sendable {
        /// Written by someone else since it was read.
        case stale
        case missing
        case duplicate
        case leaseHeld, leaseLost
        /// Not a vault, or damaged.
        case corrupt
        /// Written by a newer version of the program.
        case newerVersion
        case readOnly
        case networkFileSystem
        /// Another process is migrating or repairing it.
        case locked
        case notFound
        /// The file was removed, or another put in its place, while it was open.
        case vanished
        case inputOutput
        /// Another copy of this vault was promoted.
        case superseded
    }

    package let code: Code
    package let message: String
    /// What to do about it.
    package let hint: String?
    package let cause: (any Error)?

    package init(_ code: Code, _ message: String, hint: String? = nil, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.hint = hint
        self.cause = cause
    }

    package var description: String { hint.map { "\(message) (\($0))" } ?? message }
}

extension VaultError {
    static func vanished(_ path: String) -> VaultError {
        VaultError(
            .vanished, "The vault \(path) was removed, or another file put in its place, while it was open.",
            hint:
                "Nothing is written any more. Put the file back, or use its copy (perilune vault promote), and begin again."
        )
    }
}
