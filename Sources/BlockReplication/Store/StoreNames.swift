/// Checks every name before it becomes part of a path, and makes the names of the files in a relationship's directory.
enum StoreNames {
    static let manifest = "manifest.json"
    /// The checksums of a copy that is carried.
    static let checksums = "checksums.json"
    /// Ends the name of every file that is not finished.
    static let part = ".part"
    /// Ends the name, which it has for an instant, of what an image's tables take beyond memory.
    static let table = ".table"

    static func base(_ target: String) -> String { "base-\(target).raw" }
    /// Says of a base that grows in legs that one of them has written below its frontier and was not ended.
    static func mixed(_ target: String) -> String { "base-\(target).mixed" }
    static func overlay(_ generation: String, _ target: String) -> String { "\(generation)-\(target).qcow2" }
    static func map(_ generation: String, _ target: String, serial: Int) -> String {
        "\(generation)-\(target).\(serial).map"
    }
    static func baseSums(_ target: String) -> String { "base-\(target).sums" }
    static func sums(_ generation: String, _ target: String, serial: Int) -> String {
        "\(generation)-\(target).\(serial).sums"
    }
    /// The checksums of what `newer` holds once `older` has been merged into it: of that pair alone, whatever is sealed meanwhile.
    static func sums(_ newer: String, _ target: String, with older: String) -> String {
        "\(newer)-\(target).\(older).sums"
    }
    static func divergence(epoch: Int, _ target: String) -> String { "diverged-e\(epoch)-\(target).map" }
    static func domain(_ generation: String) -> String { "\(generation).xml" }
    static func firmware(_ generation: String) -> String { "\(generation).firmware" }
    static func boot(_ purpose: BootPurpose, epoch: Int, _ target: String) -> String {
        "\(purpose.rawValue)-e\(epoch)-\(target).qcow2"
    }

    /// A relationship's id: letters, digits, `-` and `_`, at most 64, a letter or digit first.
    static func checkRelationship(_ id: String) throws {
        let bytes = Array(id.utf8)
        guard (1...64).contains(bytes.count), isAlphanumeric(bytes[0]),
            bytes.allSatisfy({ isAlphanumeric($0) || $0 == 0x2D || $0 == 0x5F })
        else { throw refused("relationship id", id, "letters, digits, - and _, at most 64, a letter or digit first") }
    }

    /// A generation: a UUID in its usual written form.
    static func checkGeneration(_ generation: String) throws {
        let bytes = Array(generation.utf8)
        let isUUID =
            bytes.count == 36
            && bytes.enumerated().allSatisfy { index, byte in
                [8, 13, 18, 23].contains(index) ? byte == 0x2D : isHexadecimal(byte)
            }
        guard isUUID else { throw refused("generation", generation, "a UUID of 32 hexadecimal digits and 4 dashes") }
    }

    /// A disk's libvirt target: a small letter, then small letters and digits, at most 16.
    static func checkTarget(_ target: String) throws {
        let bytes = Array(target.utf8)
        guard (2...16).contains(bytes.count), isSmallLetter(bytes[0]),
            bytes.allSatisfy({ isSmallLetter($0) || isDigit($0) })
        else { throw refused("disk target", target, "like vda or sdb1: small letters and digits, a letter first") }
    }

    /// A file name as it may stand in a manifest: no slash, no leading dot, nothing but letters, digits, `.`, `-`, `_`.
    static func isSafeFileName(_ name: String) -> Bool {
        let bytes = Array(name.utf8)
        return (1...128).contains(bytes.count) && isAlphanumeric(bytes[0])
            && bytes.allSatisfy { isAlphanumeric($0) || $0 == 0x2D || $0 == 0x2E || $0 == 0x5F }
    }

    /// A folder's name as it is made of a VM's name and an id: no slash, not `.` or `..`, at most 255 bytes.
    static func isFolderName(_ name: String) -> Bool {
        (1...255).contains(name.utf8.count) && name != "." && name != ".."
            && name.utf8.allSatisfy { isAlphanumeric($0) || $0 == 0x2D || $0 == 0x2E || $0 == 0x5F }
    }

    /// An absolute path without `.` or `..` in it and without control characters.
    static func checkAbsolutePath(_ path: String) throws {
        let parts = path.split(separator: "/", omittingEmptySubsequences: true)
        guard path.hasPrefix("/"), !path.hasSuffix("/"), !parts.isEmpty, path.utf8.count <= 1000,
            !parts.contains("."), !parts.contains(".."), path.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F })
        else { throw refused("disk path", path, "an absolute path without . or .. in it, at most 1000 bytes") }
    }

    private static func refused(_ what: String, _ value: String, _ rule: String) -> ReplicationError {
        ReplicationError(
            .invalidArgument, "\(what) \(String(value.prefix(80)).debugDescription) is not allowed",
            hint: "it must be \(rule)")
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
    private static func isSmallLetter(_ byte: UInt8) -> Bool { (0x61...0x7A).contains(byte) }
    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        isDigit(byte) || isSmallLetter(byte) || (0x41...0x5A).contains(byte)
    }
    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        isDigit(byte) || (0x61...0x66).contains(byte) || (0x41...0x46).contains(byte)
    }
}
