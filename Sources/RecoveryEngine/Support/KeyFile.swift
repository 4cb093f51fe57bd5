import Foundation
import SiteModel
import SystemPackage

/// The file that brings a registration key to a server: the one place where its secret is written.
struct KeyFile: Codable {
    private static let currentFormat = "perilune-registration-key-1"
    private static let longest = 4096

    private var format = Self.currentFormat
    var vault: String
    var key: String
    /// In hexadecimal.
    var secret: String
    var expiresAt: Timestamp

    init(vault: String, key: String, secret: String, expiresAt: Timestamp) {
        self.vault = vault
        self.key = key
        self.secret = secret
        self.expiresAt = expiresAt
    }

    /// Writes the file for its owner alone; one that is there already is left as it is.
    func write(to path: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        let text = Array(try encoder.encode(self)) + [0x0a]
        do {
            let file = try FileDescriptor.open(
                FilePath(path), .writeOnly, options: [.create, .exclusiveCreate, .closeOnExec, .noFollow],
                permissions: .ownerReadWrite)
            try file.closeAfter { _ = try file.writeAll(text) }
        } catch let error as Errno {
            throw EngineError(
                .invalid, "the key file \(FieldCheck.shown(path)) cannot be written: \(error)",
                hint: "name a file that does not exist yet, in a folder that this user may write", cause: error)
        }
    }

    /// Reads a key file; one that others may read is refused, because what they have read is no secret.
    static func read(_ path: String) throws -> KeyFile {
        let text: [UInt8]
        do {
            var status = stat()
            guard lstat(path, &status) == 0 else { throw Errno(rawValue: errno) }
            guard status.st_mode & 0o077 == 0 else {
                throw EngineError(
                    .invalid, "the key file \(FieldCheck.shown(path)) may be read by others",
                    hint: "revoke the key, and keep the next one's file at rights 0600")
            }
            let file = try FileDescriptor.open(FilePath(path), .readOnly, options: [.closeOnExec, .noFollow])
            text = try file.closeAfter {
                try [UInt8](unsafeUninitializedCapacity: longest) { buffer, count in
                    count = try file.read(into: UnsafeMutableRawBufferPointer(buffer))
                }
            }
        } catch let error as Errno {
            throw EngineError(
                .invalid, "the key file \(FieldCheck.shown(path)) cannot be read: \(error)",
                hint: "name the file that vault:registration_key wrote", cause: error)
        }
        return try parse(text)
    }

    /// The key of a file's text.
    ///
    /// - Throws: `EngineError` with the rule about keys when the text is none.
    static func parse(_ text: [UInt8]) throws -> KeyFile {
        guard text.count < longest, let key = try? JSONDecoder().decode(KeyFile.self, from: Data(text)),
            key.format == currentFormat
        else {
            throw EngineError(
                .refused, "\(RuleBook.registrationKeyRefused.sentence) \(RegistrationKeyProblem.unreadable.sentence)",
                hint: RuleBook.registrationKeyRefused.hint, rule: RuleBook.registrationKeyRefused.id)
        }
        return key
    }

    /// What the vault keeps of the secret.
    static func hash(of secret: String) -> String { SHA256.hexadecimal(of: secret.utf8) }
}
