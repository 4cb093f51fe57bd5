import Foundation
import Glibc
import SiteModel

/// Figures, tables and paragraphs as people read them.
enum Text {
    static func bytes(_ count: UInt64) -> String {
        let units = ["B", "KiB", "MiB", "GiB", "TiB"]
        var value = Double(count)
        var unit = 0
        while value >= 1024, unit < units.count - 1 {
            value /= 1024
            unit += 1
        }
        return unit == 0 ? "\(count) B" : String(format: "%.1f %@", value, units[unit])
    }

    /// A word of a command, quoted where a shell would read more into it.
    static func word(_ word: String) -> String {
        let plain = word.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-_./:=@%+,".contains($0)) }
        return plain && !word.isEmpty ? word : "'" + word.replacing("'", with: "'\\''") + "'"
    }

    static func age(_ seconds: Double) -> String {
        switch seconds {
        case ..<60: String(format: "%.0f s", max(0, seconds))
        case ..<3600: String(format: "%.0f min", seconds / 60)
        case ..<86_400: String(format: "%.1f h", seconds / 3600)
        default: String(format: "%.1f d", seconds / 86_400)
        }
    }

    /// How long something took: "0.42 s", "12.3 s", "3 min".
    static func duration(_ seconds: Double) -> String {
        switch seconds {
        case ..<10: String(format: "%.2f s", max(0, seconds))
        case ..<60: String(format: "%.1f s", seconds)
        default: age(seconds)
        }
    }

    /// An instant in the machine's own time zone.
    static func time(_ time: Timestamp) -> String {
        var seconds = time_t(time.milliseconds / 1000)
        var parts = tm()
        localtime_r(&seconds, &parts)
        return String(
            format: "%04d-%02d-%02d %02d:%02d:%02d", Int(parts.tm_year) + 1900, Int(parts.tm_mon) + 1,
            Int(parts.tm_mday), Int(parts.tm_hour), Int(parts.tm_min), Int(parts.tm_sec))
    }

    /// Columns as wide as their widest cell, two spaces apart.
    static func table(_ rows: [[String]]) -> String {
        let columns = rows.map(\.count).max() ?? 0
        let widths = (0..<columns).map { column in rows.map { $0.count > column ? $0[column].count : 0 }.max() ?? 0 }
        return rows.map { row in
            row.enumerated().map { index, cell in
                index == row.count - 1 ? cell : cell + String(repeating: " ", count: widths[index] - cell.count)
            }.joined(separator: "  ")
        }.joined(separator: "\n")
    }

    /// One line broken at word edges into lines of at most `width`; those after the first stand under its text.
    ///
    /// A word that is wider than a line is left whole.
    static func wrap(_ line: String, width: Int) -> [String] {
        guard line.count > width else { return [line] }
        let indent = String(repeating: " ", count: min(hang(of: line), width / 2))
        var lines: [String] = []
        var current = String(line.prefix { $0 == " " })
        var isEmpty = true
        for word in words(line.dropFirst(current.count)) {
            if !isEmpty, current.count + word.count > width {
                lines.append(trimmed(current))
                current = indent
                current += word.drop { $0 == " " }
            } else {
                current += word
            }
            isEmpty = false
        }
        return lines + [trimmed(current)]
    }

    /// Words, each with the spaces before it.
    private static func words(_ text: Substring) -> [Substring] {
        var words: [Substring] = []
        var rest = text
        while !rest.isEmpty {
            let start = rest.firstIndex { $0 != " " } ?? rest.endIndex
            let end = rest[start...].firstIndex(of: " ") ?? rest.endIndex
            words.append(rest[..<end])
            rest = rest[end...]
        }
        return words
    }

    /// Where the text of a line begins: after its indentation, or after the first column of a list of two.
    private static func hang(of line: String) -> Int {
        let indentation = line.prefix { $0 == " " }.count
        guard let gap = line.dropFirst(indentation).firstRange(of: "  ") else { return indentation }
        let column = line[gap.lowerBound...].firstIndex { $0 != " " }
        let position = column.map { line.distance(from: line.startIndex, to: $0) } ?? indentation
        return position <= 32 ? position : indentation
    }

    private static func trimmed(_ line: String) -> String {
        String(line.reversed().drop { $0 == " " }.reversed())
    }
}
