import Foundation

/// Files of the project, found from this source file.
enum Project {
    static func path(_ relative: String) -> String {
        var folder = URL(filePath: #filePath)
        for _ in 0..<4 { folder = folder.deletingLastPathComponent() }
        return folder.appending(path: relative).path
    }

    static func text(_ relative: String) throws -> String {
        try String(contentsOfFile: path(relative), encoding: .utf8)
    }

    static func files(in folder: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: path(folder)).filter { $0.hasSuffix(".lua") }.sorted()
            .map { "\(folder)/\($0)" }
    }
}
