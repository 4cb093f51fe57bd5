import Foundation
package import LuaHost

/// What a run is granted: powers, and the folders that go with `files`.
package struct Grants: Sendable, Hashable {
    package var powers: Set<Power>
    /// In the order of the command line.
    package var folders: [GrantedFolder]

    package init(powers: Set<Power> = [], folders: [GrantedFolder] = []) {
        self.powers = powers
        self.folders = folders
    }

    /// Reads what was given with `--grant`: names, several of them with commas between, and `files=FOLDER`.
    ///
    /// `files` without a folder grants reading of the script's own one. What follows `files=` is a path to its end.
    ///
    /// - Parameter scriptFolder: where the script lies; nil when it has no place.
    /// - Throws: `LuaError` of kind `not-granted` for a name that is no power, and for a folder that is not there.
    package static func reading(_ words: [String], scriptFolder: String? = nil) throws(LuaError) -> Grants {
        var grants = Grants()
        for word in words {
            var rest = word[...]
            while !rest.isEmpty {
                if let path = rest.wholeMatch(of: /files=(.*)/)?.1 {
                    grants.powers.insert(.files)
                    grants.folders.append(try folder(String(path), isWritable: true))
                    break
                }
                let name = rest.prefix { $0 != "," }
                rest = rest.dropFirst(name.count + 1)
                let power = try power(String(name))
                grants.powers.insert(power)
                if power == .files { grants.folders.append(try ownFolder(scriptFolder)) }
            }
            if word.isEmpty { _ = try power(word) }
        }
        return grants
    }

    private static func power(_ name: String) throws(LuaError) -> Power {
        if let power = Power(rawValue: name) { return power }
        let known = Power.allCases.map { $0 == .files ? "files=FOLDER" : $0.rawValue }.joined(separator: ", ")
        throw LuaError(.notGranted, "there is no power '\(name)' to grant", hint: "this version has: \(known)")
    }

    private static func ownFolder(_ scriptFolder: String?) throws(LuaError) -> GrantedFolder {
        guard let scriptFolder else {
            throw LuaError(
                .notGranted, "'files' without a folder means the script's own, and this script has none",
                hint: "name a folder: --grant files=FOLDER")
        }
        return try folder(scriptFolder, isWritable: false)
    }

    private static func folder(_ path: String, isWritable: Bool) throws(LuaError) -> GrantedFolder {
        var isFolder: ObjCBool = false
        guard !path.isEmpty, FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue
        else {
            throw LuaError(
                .notGranted, "'\(path)' is no folder, so its files cannot be granted",
                hint: "--grant files=FOLDER takes a folder that exists")
        }
        return GrantedFolder(path: URL(filePath: path).standardizedFileURL.path, isWritable: isWritable)
    }
}

/// A folder beneath which a script may work with files.
package struct GrantedFolder: Sendable, Hashable {
    /// Absolute, without `.` and `..`.
    package let path: String
    /// Whether it may write there as well as read.
    package let isWritable: Bool

    package init(path: String, isWritable: Bool) {
        self.path = path
        self.isWritable = isWritable
    }
}
