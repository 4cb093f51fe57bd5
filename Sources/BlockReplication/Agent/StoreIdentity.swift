import Foundation

/// A store's own identity, kept in a file of the store: it tells one folder from another wherever both are mounted.
enum StoreIdentity {
    /// Reads the identity, or gives the store one.
    ///
    /// Two agents that come at once agree: the file appears whole, and the first stays.
    static func ensure(in store: String) throws -> String {
        let path = store + "/store-id"
        if let known = try read(path) { return known }
        let draft = path + "." + UUID().uuidString.lowercased()
        try replaceFile(draft, with: Data(UUID().uuidString.lowercased().utf8))
        defer { unlink(draft) }
        guard link(draft, path) == 0 || errno == EEXIST else {
            throw ReplicationError.system("giving the store its identity", path: path, errno: errno)
        }
        guard let made = try read(path) else {
            throw ReplicationError(
                .damaged, "the store's identity cannot be read", hint: "remove the file and start the agent again",
                context: ["path": path])
        }
        return made
    }

    private static func read(_ path: String) throws -> String? {
        let file: ImageFile
        do { file = try ImageFile(reading: path) } catch let error as ReplicationError where error.code == .notFound {
            return nil
        }
        var bytes = [UInt8](repeating: 0, count: 36)
        try bytes.withUnsafeMutableBytes { try file.read(into: $0, at: 0) }
        return UUID(uuidString: String(decoding: bytes, as: UTF8.self))?.uuidString.lowercased()
    }
}
