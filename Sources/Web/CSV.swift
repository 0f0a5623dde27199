// Files for spreadsheets: RFC 4180, with what a spreadsheet would run disarmed.
import Foundation

/// Writes records of CSV.
public enum CSV {
    /// For answers that begin with a record of column names.
    public static let contentType = "text/csv; charset=utf-8; header=present"

    /// What spreadsheets take for the beginning of a formula, in its wide forms too.
    private static let formulaSigns: Set<Unicode.Scalar> = ["=", "+", "-", "@", "\u{FF1D}", "\u{FF0B}", "\u{FF0D}", "\u{FF20}", "\t", "\r"]

    /// Every field in quotes. Spreadsheets run what begins like a formula, and others choose some of these texts: an apostrophe in front
    /// keeps it a text. Some split at semicolons, so what stands behind one counts as a beginning.
    public static func record(_ values: [String]) -> [UInt8] {
        let fields = values.map { value in
            var text = String.UnicodeScalarView()
            var isBeginning = true
            for scalar in value.unicodeScalars {
                if isBeginning, formulaSigns.contains(scalar) { text.append("'") }
                text.append(scalar)
                isBeginning = scalar == ";" || (isBeginning && (scalar == " " || scalar == "\""))
            }
            return "\"" + String(text).replacingOccurrences(of: "\"", with: "\"\"") + "\""
        }
        return Array((fields.joined(separator: ",") + "\r\n").utf8)
    }
}
