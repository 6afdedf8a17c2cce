// Deutsch.

const states = {
  down: "ausgefallen",
  critical: "kritisch",
  unreachable: "nicht erreichbar",
  unknown: "unbekannt",
  warning: "Warnungen",
  message: "Nachrichten",
  other: "andere",
  ok: "OK",
  up: "wieder da",
};

/** @type {typeof import("./en.js").words} */
export const words = {
  lang: "de",
  counted: (n, state) => `${n} ${n === 1 ? states[state].replace(/(ung|icht)en$/, "$1") : states[state]}`,
  digest: {
    title: (n, parts) => `${n} weitere: ${parts.join(", ")}`,
    body: (worst, newest) => `Schlimmste: ${worst}\nNeueste: ${newest}`,
  },
  advice: {
    default: "Bis Benachrichtigungen erlaubt sind, stehen sie nur in der Liste auf dieser Seite.",
    insecure: "Browser zeigen Benachrichtigungen nur für Seiten mit https. Bitte die https-Adresse dieser Seite öffnen.",
    unsupported: "Dieser Browser zeigt keine Benachrichtigungen für Seiten, wie die meisten auf Telefonen. Bitte einen am Computer nehmen.",
    suppressed: "Erlaubt, und doch nicht zu sehen. Bitte „Nicht stören“ prüfen, und ob das System diesem Browser Mitteilungen erlaubt.",
    denied: "Benachrichtigungen sind blockiert.",
    chrom: "Auf das Zeichen links neben der Adresse klicken und sie dort oder in den „Website-Einstellungen“ einschalten.",
    firefox: "Auf das Zeichen links neben der Adresse klicken und die Blockierung aufheben.",
    safari: "In Safaris Einstellungen unter „Websites“, „Mitteilungen“ diese Seite erlauben.",
    other: "In den Einstellungen des Browsers für diese Seite erlauben.",
    revoked: "Nicht mehr gewünscht? Dann auch in openITCOCKPIT im eigenen Kontakt den Haken bei Push-Benachrichtigungen entfernen.",
  },
};
