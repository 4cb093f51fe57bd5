import Foundation

/// The folder of Lua modules that come with Perilune.
package enum StandardLibrary {
    /// Looks for it beside the program and above: in a source tree, or installed as `share/perilune/stdlib`.
    package static func locate(program: String) -> String? {
        var folder = URL(filePath: program).resolvingSymlinksInPath().deletingLastPathComponent()
        for _ in 0..<6 {
            for candidate in ["stdlib", "share/perilune/stdlib"] {
                let path = folder.appending(path: candidate).path
                if FileManager.default.fileExists(atPath: "\(path)/health.lua") { return path }
            }
            folder = folder.deletingLastPathComponent()
        }
        return nil
    }
}
