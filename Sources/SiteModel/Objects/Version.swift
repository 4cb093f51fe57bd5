/// A version of the program, `major.minor.patch`.
package struct Version: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var major: Int
    package var minor: Int
    package var patch: Int

    package init(_ major: Int, _ minor: Int, _ patch: Int) {
        (self.major, self.minor, self.patch) = (major, minor, patch)
    }

    /// Reads "0.1.0"; nil for anything else.
    package init?(_ text: String) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        let numbers = parts.compactMap { part -> Int? in
            (1...6).contains(part.utf8.count) && part.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int(part) : nil
        }
        guard parts.count == 3, numbers.count == 3 else { return nil }
        self.init(numbers[0], numbers[1], numbers[2])
    }

    package static func < (a: Version, b: Version) -> Bool {
        (a.major, a.minor, a.patch) < (b.major, b.minor, b.patch)
    }

    package var description: String { "\(major).\(minor).\(patch)" }
}

/// How a server's version stands to the one that the vault is worked with (reference 1.3).
package enum VersionStatus: String, Codable, Hashable, Sendable, CaseIterable {
    case supported
    /// It works, and the next minor version will no longer work with it.
    case deprecated
    /// It no longer works with the vault: replace it first.
    case updateRequired = "update-required"
    /// It works and has a known fault of security.
    case securityUpdateRequired = "security-update-required"
    /// It is newer than the vault's own program, or is no version at all.
    case notSupported = "not-supported"

    /// Whether a server of that version may register and work.
    package var isUsable: Bool { self == .supported || self == .deprecated || self == .securityUpdateRequired }
}

/// Which versions of servers work with a vault.
package struct VersionSupport: Hashable, Sendable {
    /// The version of the program that has the vault open.
    package var current: Version
    /// Versions with a known fault of security.
    package var faulty: Set<Version>

    package init(current: Version, faulty: Set<Version> = []) {
        self.current = current
        self.faulty = faulty
    }

    /// One minor version back is deprecated, everything older needs an update; a newer one is not supported.
    package func status(of text: String) -> VersionStatus {
        guard let version = Version(text) else { return .notSupported }
        if (version.major, version.minor) > (current.major, current.minor) { return .notSupported }
        if version.major < current.major || version.minor < current.minor - 1 { return .updateRequired }
        if faulty.contains(version) { return .securityUpdateRequired }
        return version.minor < current.minor ? .deprecated : .supported
    }
}
