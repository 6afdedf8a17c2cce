// Deutsch.

/** @type {typeof import("./en.js").words} */
export const words = {
  lang: "de",
  counted: {
    down: (n) => `${n} ausgefallen`,
    critical: (n) => `${n} kritisch`,
    unreachable: (n) => `${n} nicht erreichbar`,
    unknown: (n) => `${n} unbekannt`,
    warning: (n) => (n === 1 ? "1 Warnung" : `${n} Warnungen`),
    message: (n) => (n === 1 ? "1 Nachricht" : `${n} Nachrichten`),
    other: (n) => (n === 1 ? "1 andere" : `${n} andere`),
    ok: (n) => `${n} OK`,
    up: (n) => `${n} wieder da`,
  },
  digest: {
    title: (total, parts) => `${total} weitere: ${parts.join(", ")}`,
    body: (worst, newest) => `Schlimmste: ${worst}\nNeueste: ${newest}`,
  },
  advice: {
    default: "Bis Benachrichtigungen erlaubt sind, stehen sie nur in der Liste auf dieser Seite.",
    insecure: "Browser zeigen Benachrichtigungen nur für Seiten mit https. Bitte die https-Adresse dieser Seite öffnen.",
    unsupported: "Dieser Browser zeigt keine Benachrichtigungen für Seiten, wie die meisten auf Telefonen. Bitte einen am Computer nehmen.",
    suppressed:
      "Erlaubt, und doch war die letzte nicht zu sehen. Bitte „Nicht stören“ prüfen, und ob das System diesem Browser Mitteilungen erlaubt.",
    denied: "Danach die Seite neu laden. Wer dauerhaft keine will, nimmt auch in openITCOCKPIT im eigenen Kontakt den Haken bei Push-Benachrichtigungen weg.",
    chromium: "Benachrichtigungen sind blockiert: auf das Zeichen links neben der Adresse klicken und sie dort oder in den „Website-Einstellungen“ einschalten.",
    firefox: "Benachrichtigungen sind blockiert: auf das Zeichen links neben der Adresse klicken und die Blockierung aufheben.",
    safari: "Benachrichtigungen sind blockiert: in Safaris Einstellungen unter „Websites“, „Mitteilungen“ diese Seite erlauben.",
    other: "Benachrichtigungen sind blockiert: bitte in den Einstellungen des Browsers für diese Seite erlauben.",
  },
};
