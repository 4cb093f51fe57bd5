/// An error of the lab: what went wrong and what to do about it.
package struct LabError: Error, Sendable {
    /// The kind of an error, for callers that act on it.
    package enum Code: String, Sendable {
        /// The process lacks a right that the lab needs.
        case notPermitted
        /// A program, device or kernel facility is not there.
        case missing
        /// A value given to the lab is not usable.
        case invalid
        /// A site, guest or file that should exist does not.
        case notFound
        /// Another lab command holds the lab.
        case busy
        /// A program that the lab ran failed.
        case commandFailed
        /// Something did not happen in its time.
        case timedOut
        /// The task was cancelled.
        case cancelled
        /// A file could not be read or written.
        case file
    }

    package let code: Code
    package let message: String
    /// What to do instead, or next.
    package let hint: String?
    package let cause: (any Error)?

    package init(_ code: Code, _ message: String, hint: String? = nil, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.hint = hint
        self.cause = cause
    }
}

extension LabError: CustomStringConvertible {
    package var description: String {
        hint.map { "\(message) (\($0))" } ?? message
    }
}
